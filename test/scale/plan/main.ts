import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { poissonArrivals } from '../../../cli/capacity/arrivals.ts';
import { settled } from '../../../cli/capacity/find-replicas.ts';
import { readMeasurements } from '../../../cli/capacity/measurements.ts';
import { percentile, simulate } from '../../../cli/capacity/simulate.ts';
import { measuredLoad } from '../../../cli/capacity/stage-load.ts';
import type { Video } from '../../../proto/gen/fusionframes/v1/video.ts';
import { makeTemporaryFolder } from '../../../services/kit/temporary-folder.ts';
import { loadPreset, modelNames } from '../../../services/pipeline/preset.ts';
import { forEachStage, type StageName, stageNames, stages } from '../../../services/pipeline/stages.ts';
import { runCli } from '../../support/cli.ts';
import { latencyOf, loadMesh } from './load.ts';
import { writeShortPreset } from './short-preset.ts';
import { type SleepingMesh, startSleepingMesh } from './sleeping-mesh.ts';

/**
 * Plans a rate of videos with `fusionframes plan`, deploys exactly that on backends that sleep, lets videos arrive at
 * random at that rate, and compares.
 */
/** How long a batch takes, seconds: a fixed part, and one for each item. Long compared to the CPU time of a step. */
const times: Record<string, readonly [number, number]> = {
  [modelNames.textEncoder]: [0.2, 0.04],
  [modelNames.keyframes]: [0.4, 0.1],
  [modelNames.interpolation]: [0.4, 0.1],
  [modelNames.decoder]: [0.04, 0.02],
};
const backend = {
  maxBatchSize: 8,
  secondsOf(model: string, items: number) {
    const [first, each] = times[model]!;
    return first + each * items;
  },
};
const keyframeSteps = 6;
/** Videos that arrive at once while service times are measured, one group after the other: batches of every size. */
const measuringGroups = [1, 1, 3, 4, 5];

interface Load {
  perHour: number;
  /** Latency that the plan must keep, seconds; it determines the number of backends. */
  p95: number;
  videos: number;
}

/** At about 50 and 85 % of the bottleneck's capacity; then with two backends of it. */
const loads: readonly Load[] = [
  { perHour: 600, p95: 30, videos: 80 },
  { perHour: 1260, p95: 30, videos: 175 },
  { perHour: 2520, p95: 30, videos: 350 },
];

interface Figures {
  p50: number;
  p95: number;
  bottleneck: string;
  stages: Record<string, { utilization: number; secondsOfVideo: number; itemsOfBatch: number; p50: number }>;
}

interface Plan {
  stages: {
    stage: StageName;
    replicas: number;
    utilization: number;
    backendSecondsOfVideo: number;
    itemsOfBatch: number;
    p50Seconds: number;
  }[];
  bottleneck: string;
  aloneSeconds: number;
  p50Seconds: number;
  p95Seconds: number;
}

const folder = makeTemporaryFolder();
const presetFile = await writeShortPreset(folder, keyframeSteps);
const preset = loadPreset(presetFile);
const measured = join(folder, 'measured.json');
try {
  const alone = await measureAlone();
  for (const load of loads) {
    await compare(load, alone);
  }
} finally {
  await rm(folder, { recursive: true });
}

/** Measures the service times; returns the latency of a video that has everything to itself, seconds. */
async function measureAlone(): Promise<number> {
  process.stderr.write('measuring service times\n');
  return await withMesh(
    forEachStage(() => 1),
    async (mesh) => {
      const groups: Video[][] = [];
      for (const count of measuringGroups) {
        groups.push(await loadMesh(mesh, new Array<number>(count).fill(0)));
      }
      // The first is still warming up.
      const alone = groups[1]![0]!;
      const addresses = Object.values(mesh.backends).flatMap((pool) => pool.map(({ address }) => address));
      const video = ['--address', mesh.address, '--video', alone.id];
      await run(['models', 'measure', ...addresses, ...video, '--preset', presetFile, '--output', measured]);
      return latencyOf(alone);
    },
  );
}

async function compare({ perHour, p95, videos }: Load, alone: number): Promise<void> {
  const rate = ['--rate', String(perHour), '--p95', String(p95)];
  const plan = JSON.parse(
    await run(['plan', ...rate, '--preset', presetFile, '--measured', measured, '--json']),
  ) as Plan;
  const replicas = Object.fromEntries(plan.stages.map(({ stage, replicas: count }) => [stage, count]));
  const arrivals = poissonArrivals(perHour / 3600, videos, 1);
  process.stderr.write(`${videos} videos at ${perHour} an hour, ${(arrivals.at(-1)! / 60).toFixed(0)} minutes\n`);
  const seen = await withMesh(replicas as Record<StageName, number>, (mesh) => observe(mesh, arrivals));
  const planned = figuresOf(plan);
  const same = await simulateSame(plan, arrivals);
  const row = (of: (figures: Figures) => number) => ({
    'planned ÷ measured': ratio(of(planned), of(seen)),
    'same arrivals ÷ measured': ratio(of(same), of(seen)),
    measured: Number(of(seen).toPrecision(3)),
  });
  console.log(
    `${perHour} videos an hour on ${plan.stages.map(({ stage, replicas: count }) => `${count} ${stage}`).join(', ')}: ` +
      `bottleneck planned ${planned.bottleneck}, measured ${seen.bottleneck}; ` +
      `a video alone, planned ÷ measured: ${ratio(plan.aloneSeconds, alone)}`,
  );
  console.table({
    'latency, p50 s': row((figures) => figures.p50),
    'latency, p95 s': row((figures) => figures.p95),
    ...Object.fromEntries(
      stageNames.flatMap((stage) => [
        [`${stage}: busy`, row((figures) => figures.stages[stage]!.utilization)],
        [`${stage}: backend seconds a video`, row((figures) => figures.stages[stage]!.secondsOfVideo)],
        [`${stage}: items of a batch`, row((figures) => figures.stages[stage]!.itemsOfBatch)],
        [`${stage}: p50 s`, row((figures) => figures.stages[stage]!.p50)],
      ]),
    ),
  });
}

function figuresOf({ stages, bottleneck, p50Seconds, p95Seconds }: Plan): Figures {
  return {
    p50: p50Seconds,
    p95: p95Seconds,
    bottleneck,
    stages: Object.fromEntries(
      stages.map(({ stage, utilization, backendSecondsOfVideo: secondsOfVideo, itemsOfBatch, p50Seconds: p50 }) => [
        stage,
        { utilization, secondsOfVideo, itemsOfBatch, p50 },
      ]),
    ),
  };
}

/** The planner's prediction for exactly the arrivals of this run, which are fewer than its own. */
async function simulateSame({ stages }: Plan, arrivals: readonly number[]): Promise<Figures> {
  const video = { ...preset.frameSize.default, frameRate: preset.defaultFrameRate };
  const load = measuredLoad(preset, video, await readMeasurements(measured));
  const result = simulate({ stages: load, replicas: stages.map(({ replicas }) => replicas), arrivals });
  return summarize(
    result.latencies,
    stages.map(({ stage }, index) => {
      const { utilization, seconds, busySeconds, items, batches } = result.stages[index]!;
      return { stage, utilization, seconds, busySeconds, items, batches };
    }),
  );
}

async function observe(mesh: SleepingMesh, arrivals: readonly number[]): Promise<Figures> {
  const videos = await loadMesh(mesh, arrivals);
  const first = videos[0]!.createdAt!.getTime() - arrivals[0]! * 1000;
  const seconds = (Math.max(...videos.map(({ finishedAt }) => finishedAt!.getTime())) - first) / 1000;
  return summarize(
    videos.map(latencyOf),
    stageNames.map((stage, index) => {
      const pool = mesh.backends[stage].map(({ work }) => work(stages[stage].model));
      const sum = (of: (work: (typeof pool)[number]) => number) => pool.reduce((total, each) => total + of(each), 0);
      const busySeconds = sum((work) => work.seconds);
      return {
        stage,
        utilization: busySeconds / (seconds * pool.length),
        seconds: videos.map(({ stages }) => stages[index]!.seconds),
        busySeconds,
        items: sum((work) => work.items),
        batches: sum((work) => work.batches),
      };
    }),
  );
}

interface StageWork {
  stage: string;
  utilization: number;
  seconds: number[];
  busySeconds: number;
  items: number;
  batches: number;
}

function summarize(latencies: readonly number[], works: readonly StageWork[]): Figures {
  return {
    p50: percentile(settled(latencies), 0.5),
    p95: percentile(settled(latencies), 0.95),
    bottleneck: works.toSorted((a, b) => b.utilization - a.utilization)[0]!.stage,
    stages: Object.fromEntries(
      works.map(({ stage, utilization, seconds, busySeconds, items, batches }) => [
        stage,
        {
          utilization,
          secondsOfVideo: busySeconds / latencies.length,
          itemsOfBatch: items / batches,
          p50: percentile(settled(seconds), 0.5),
        },
      ]),
    ),
  };
}

async function withMesh<T>(replicas: Record<StageName, number>, use: (mesh: SleepingMesh) => Promise<T>): Promise<T> {
  const mesh = await startSleepingMesh({ preset, presetFile, replicas, backend });
  try {
    return await use(mesh);
  } finally {
    await mesh.stop();
  }
}

async function run(args: string[]): Promise<string> {
  const { code, stdout, stderr } = await runCli(args);
  if (code !== 0) {
    throw new Error(`fusionframes ${args.join(' ')} ended with ${code}: ${stderr}`);
  }
  return stdout;
}

function ratio(planned: number, seen: number): number {
  return Number((planned / seen).toFixed(3));
}
