import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { loadPreset } from '../../../services/pipeline/preset.ts';
import { ensureRepository } from '../../../triton-models/packaging/ensure-repository.ts';
import type { Bench } from '../bench.ts';
import { type Growth, type Measured, median } from '../figure.ts';
import { generateInChild } from '../generate-child.ts';
import { claimTimes } from '../jobs/claims.ts';
import { watchRounds } from '../jobs/watchers.ts';
import type { FileRuns } from './file-child.ts';
import { widePreset } from './pytorch.ts';

/** How costs grow with what is asked for: rows by name, one plot each. */
export const growthRows: Readonly<Record<`growth-${string}`, (bench: Bench) => Promise<Measured>>> = {
  'growth-frames': plotted((bench) =>
    growthOfVideos(bench, 'frames of a video', 'frames', [
      [15, '--fps', 'low'],
      [57, '--fps', 'medium'],
      [225, '--fps', 'high'],
    ]),
  ),
  'growth-size': plotted(async (bench) => {
    // Building takes more memory than serving.
    await ensureRepository(loadPreset(widePreset));
    const run = (side: number) => [
      side,
      '--preset',
      widePreset,
      '--size',
      `${side}x${side}`,
      '--fps',
      'low',
      '--steps',
      '2',
    ];
    return growthOfVideos(bench, 'size of a video, random weights', 'pixels a side', [64, 128, 256].map(run));
  }),
  'growth-steps': plotted((bench) => {
    const run = (steps: number) => [steps, '--fps', 'low', '--steps', `${steps}`];
    return growthOfVideos(bench, 'steps of a video', 'steps', [5, 20, 80].map(run));
  }),
  'growth-queue': plotted(growthOfQueue),
  'growth-watchers': plotted(growthOfWatchers),
  'growth-files': plotted(growthOfFiles),
};

function plotted(measure: (bench: Bench) => Promise<Growth>): (bench: Bench) => Promise<Measured> {
  return async (bench) => ({ growths: [await measure(bench)] });
}

async function growthOfVideos(
  bench: Bench,
  what: string,
  grows: string,
  runs: readonly (readonly [size: number, ...flags: string[]] | (string | number)[])[],
): Promise<Growth> {
  await bench.repository();
  const points: Growth['points'] = [];
  for (const [size, ...flags] of runs) {
    bench.progress(`${what}: ${size}`);
    const { processorSeconds, mebibytes } = await generateInChild(flags as string[]);
    points.push({ size: size as number, cost: processorSeconds, mebibytes });
  }
  return { what, grows, costs: 'processor seconds', points };
}

async function growthOfQueue(bench: Bench): Promise<Growth> {
  bench.progress('queued jobs');
  const rows = await claimTimes([100, 1000, 10_000, 100_000]);
  const points = rows.map(({ length, claim }) => ({ size: length, cost: claim }));
  return { what: 'claim of a job', grows: 'queued jobs', costs: 'ms', points };
}

async function growthOfWatchers(bench: Bench): Promise<Growth> {
  bench.progress('watchers');
  const rounds = await watchRounds([50, 150, 500], 1);
  const faulty = rounds.reduce((sum, round) => sum + round.faulty, 0);
  if (faulty > 0) {
    throw new Error(`${faulty} watches missed a change, received one twice or out of order, or did not see the end`);
  }
  const points = rounds.map(({ watchers, processorSeconds, during }) => ({
    size: watchers,
    cost: processorSeconds,
    mebibytes: during,
  }));
  return {
    what: '50 jobs while they are watched',
    grows: 'watchers',
    costs: 'processor seconds of the gateway',
    points,
  };
}

async function growthOfFiles(bench: Bench): Promise<Growth> {
  const points: Growth['points'] = [];
  for (const size of [1, 8, 64]) {
    bench.progress(`file of ${size} MiB`);
    const { processorSeconds, mebibytes } = await storeInChild(size, 10 * bench.options.rounds);
    points.push({ size, cost: median(processorSeconds), mebibytes });
  }
  return { what: 'storing and reading a file', grows: 'MiB', costs: 'processor seconds', points };
}

async function storeInChild(mebibytes: number, rounds: number): Promise<FileRuns> {
  const child = fileURLToPath(new URL('./file-child.js', import.meta.url));
  const { stdout } = await promisify(execFile)(process.execPath, [child, String(mebibytes), String(rounds)]);
  return JSON.parse(stdout);
}
