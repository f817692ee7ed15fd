import { randomUUID } from 'node:crypto';
import { setMaxListeners } from 'node:events';
import { setTimeout as pause } from 'node:timers/promises';
import { poissonArrivals, uniformNumbers } from '../../../cli/capacity/arrivals.ts';
import type { StageHooks } from '../../../gateway/testing/stage-doubles.ts';
import { FrameRate, type VideoSettings } from '../../../proto/gen/fusionframes/v1/video.ts';
import { timeLimit } from '../../../services/kit/time-limit.ts';
import { follow, persist } from '../../support/follow.ts';
import { type LoadGateway, startLoadGateway } from './load-gateway.ts';
import { quantile } from './quantile.ts';

const jobs = 200;
/** Before the first of them, so that there are recent stage times. */
const warmUps = 8;
const places = 4;
/** About a tenth more than the places can do, so that a queue builds up. */
const perSecond = 0.88;
/** Long enough that the delays of a busy machine hardly matter. */
const stepMilliseconds = 150;
/** If the disk is so busy that the database does not answer, calls are retried. */
const patience = timeLimit(3_600_000).signal;
setMaxListeners(0, patience);

interface Sample {
  /** As predicted when it was created and as it turned out, seconds from its creation. */
  predicted: { start: number; ready: number };
  actual: { start: number; ready: number };
}

/** Compares the times that 200 jobs of different lengths were promised when they were created with what happened. */
export async function measureForecasts(): Promise<void> {
  const uniform = uniformNumbers(5);
  const noise = (milliseconds: number) => milliseconds * (0.7 + 0.6 * uniform());
  const sleep = () => pause(noise(stepMilliseconds));
  let device: Promise<unknown> = Promise.resolve();
  // One after the other, so that a job takes longer the more of them run.
  const queueUp = () => (device = device.then(() => pause(noise(stepMilliseconds / places))));
  const backends = { 'one for each job': sleep, 'one for all jobs': queueUp };
  const rows = [];
  for (const [name, step] of Object.entries(backends)) {
    const samples = await measure({
      keyframes: async () => void (await step()),
      interpolation: async () => void (await step()),
    });
    rows.push(...describe(name, samples));
  }
  console.table(rows);
}

async function measure(hooks: StageHooks): Promise<Sample[]> {
  const gateway = await startLoadGateway(hooks, { FUSIONFRAMES_CONCURRENT_JOBS: String(places) });
  try {
    return await Promise.race([makeJobs(gateway), gateway.ended]);
  } finally {
    await gateway.stop();
  }
}

async function makeJobs({ client }: LoadGateway): Promise<Sample[]> {
  const uniform = uniformNumbers(9);
  const steps = (max: number) => 3 + Math.floor(uniform() * (max - 2));
  const settings = (): Partial<VideoSettings> => ({
    frameRate: uniform() < 0.5 ? FrameRate.FRAME_RATE_LOW : FrameRate.FRAME_RATE_MEDIUM,
    keyframes: { sampler: 0, steps: steps(30) },
    interpolation: { sampler: 0, steps: steps(20) },
  });
  for (let count = 0; count < warmUps; count++) {
    const { id } = await client.create(settings());
    await follow([client], id, patience);
  }
  const started = performance.now();
  const samples = await Promise.all(
    poissonArrivals(perSecond, jobs, 3).map(async (seconds) => {
      await pause(Math.max(0, 1000 * seconds - (performance.now() - started)));
      const wanted = settings();
      const created = await persist([client], ({ create }) => create(wanted, randomUUID()), patience);
      const ended = (await follow([client], created.id, patience)).at(-1)!.video!;
      const since = (time: Date | undefined) => (time!.getTime() - created.createdAt!.getTime()) / 1000;
      const { startsAt, readyAt } = created.queue ?? {};
      if (!startsAt || !readyAt) {
        // The database did not answer in time.
        return [];
      }
      return [
        {
          predicted: { start: since(startsAt), ready: since(readyAt) },
          actual: { start: since(ended.startedAt), ready: since(ended.finishedAt) },
        },
      ];
    }),
  );
  return samples.flat();
}

function describe(backend: string, samples: readonly Sample[]) {
  const ofAll = (value: (sample: Sample) => number) => samples.map(value);
  const both = (values: number[], digits: number) => [0.5, 0.9].map((share) => quantile(values, share).toFixed(digits));
  const row = (time: 'start' | 'ready') => {
    const [median, high] = both(
      ofAll(({ predicted, actual }) => Math.abs(predicted[time] - actual[time])),
      2,
    );
    const [share, highShare] = both(
      ofAll(({ predicted, actual }) => (100 * Math.abs(predicted[time] - actual[time])) / actual.ready),
      0,
    );
    const ratios = ofAll(({ predicted, actual }) => actual.ready / predicted.ready);
    return {
      backend,
      time,
      videos: samples.length,
      'seconds to ready, median': quantile(
        ofAll(({ actual }) => actual.ready),
        0.5,
      ).toFixed(1),
      'error, median s': median,
      'error, 90 % s': high,
      'error, median % of time to ready': share,
      'error, 90 %': highShare,
      'actual / predicted ready, minimum and 1 %': [0, 0.01]
        .map((each) => quantile(ratios, each).toFixed(2))
        .join(', '),
    };
  };
  return [row('start'), row('ready')];
}
