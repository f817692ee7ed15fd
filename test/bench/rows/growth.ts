import { rm } from 'node:fs/promises';
import { buffer } from 'node:stream/consumers';
import { FolderStore } from '../../../gateway/storage/folder-store.ts';
import { makeTemporaryFolder } from '../../../services/kit/temporary-folder.ts';
import { type Bench, secondsOf } from '../bench.ts';
import { type Growth, type Measured, median } from '../figure.ts';
import { generateInChild } from '../generate-child.ts';
import { claimTimes } from '../jobs/claims.ts';
import { watchRounds } from '../jobs/watchers.ts';
import { widePreset } from './pytorch.ts';

/** How costs grow with what is asked for. */
export async function measureGrowth(bench: Bench): Promise<Measured> {
  await bench.repository();
  return {
    growths: [
      await growthOfVideos(bench, 'frames of a video', 'frames', [
        [15, '--fps', 'low'],
        [57, '--fps', 'medium'],
        [225, '--fps', 'high'],
      ]),
      await growthOfVideos(
        bench,
        'size of a video, random weights',
        'pixels a side',
        [64, 128, 256].map((side) => [
          side,
          '--preset',
          widePreset,
          '--size',
          `${side}x${side}`,
          '--fps',
          'low',
          '--steps',
          '2',
        ]),
      ),
      await growthOfVideos(
        bench,
        'steps of a video',
        'steps',
        [5, 20, 80].map((steps) => [steps, '--fps', 'low', '--steps', `${steps}`]),
      ),
      await growthOfQueue(bench),
      await growthOfWatchers(bench),
      await growthOfFiles(bench),
    ],
  };
}

async function growthOfVideos(
  bench: Bench,
  what: string,
  grows: string,
  runs: readonly (readonly [size: number, ...flags: string[]] | (string | number)[])[],
): Promise<Growth> {
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
  const points = rounds.map(({ watchers, seconds, during }) => ({ size: watchers, cost: seconds, mebibytes: during }));
  return { what: '50 jobs while they are watched', grows: 'watchers', costs: 'seconds', points };
}

async function growthOfFiles(bench: Bench): Promise<Growth> {
  const folder = makeTemporaryFolder();
  const points: Growth['points'] = [];
  try {
    const store = await FolderStore.open(folder);
    for (const mebibytes of [1, 8, 64]) {
      bench.progress(`file of ${mebibytes} MiB`);
      const bytes = new Uint8Array(mebibytes << 20).fill(7);
      const seconds: number[] = [];
      for (let round = 0; round < bench.options.rounds; round++) {
        seconds.push(
          await secondsOf(async () => {
            await store.put('file', bytes, { mediaType: 'video/mp4' });
            await buffer((await store.open('file')).stream);
          }),
        );
      }
      points.push({ size: mebibytes, cost: median(seconds) });
    }
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
  return { what: 'storing and reading a file', grows: 'MiB', costs: 'seconds', points };
}
