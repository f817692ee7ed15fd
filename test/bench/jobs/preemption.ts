import { setTimeout as pause } from 'node:timers/promises';
import { poissonArrivals } from '../../../cli/capacity/arrivals.ts';
import type { Video } from '../../../proto/gen/fusionframes/v1/video.ts';
import { startLoadGateway } from './load-gateway.ts';
import { quantile } from './quantile.ts';

const places = 2;
const stepMilliseconds = 100;
/** Of long jobs, always enough to fill the places, and of urgent ones. */
const longSteps = 200;
const longJobs = 6;
const urgentSteps = 20;
const urgentJobs = 16;
const urgentPerSecond = 0.25;
const checkpointSeconds = 2;
/** Thresholds to compare; 0: nothing is paused. */
const thresholds = [0, 30, 10, 5, 2];

/** How long urgent jobs wait for long ones, and the cost of pausing those, by threshold. */
export async function measurePreemption(): Promise<void> {
  const rows = [];
  for (const threshold of thresholds) {
    rows.push(await measure(threshold));
    process.stderr.write(`preemption: ${threshold} s done\n`);
  }
  console.table(rows);
}

async function measure(threshold: number) {
  let steps = 0;
  const keyframes = async () => {
    await pause(stepMilliseconds);
    steps++;
  };
  const gateway = await startLoadGateway(
    { keyframes },
    {
      FUSIONFRAMES_CONCURRENT_JOBS: String(places),
      FUSIONFRAMES_CHECKPOINT_SECONDS: String(checkpointSeconds),
      FUSIONFRAMES_PREEMPT_SECONDS: String(threshold),
    },
  );
  const { create, watch } = gateway.client;
  const make = async (count: number, priority: number): Promise<Video> => {
    const keyframes = { sampler: 0 as const, steps: count, guidanceScale: undefined };
    const { id } = await create({ keyframes, frameRate: 1 }, '', { priority });
    return (await watch(id)).at(-1)!;
  };
  const makeAll = async () => {
    await Promise.all([make(urgentSteps, 0), make(urgentSteps, 0)]);
    steps = 0;
    const started = performance.now();
    const long = Array.from({ length: longJobs }, () => make(longSteps, 0));
    const urgent = poissonArrivals(urgentPerSecond, urgentJobs, 3).map(async (seconds) => {
      await pause(1000 * seconds);
      return make(urgentSteps, 10);
    });
    const [ofLong, ofUrgent] = [await Promise.all(long), await Promise.all(urgent)];
    return { ofLong, ofUrgent, seconds: (performance.now() - started) / 1000 };
  };
  try {
    const { ofLong, ofUrgent, seconds } = await Promise.race([makeAll(), gateway.ended]);
    const waits = ofUrgent.map(({ createdAt, startedAt }) => (startedAt!.getTime() - createdAt!.getTime()) / 1000);
    const ends = ofLong.map(({ createdAt, finishedAt }) => (finishedAt!.getTime() - createdAt!.getTime()) / 1000);
    const needed = longJobs * longSteps + urgentJobs * urgentSteps;
    return {
      'threshold, s': threshold,
      'urgent waits, median s': quantile(waits, 0.5).toFixed(1),
      'urgent waits, 90 % s': quantile(waits, 0.9).toFixed(1),
      'long ready, median s': quantile(ends, 0.5).toFixed(1),
      'all ready, s': seconds.toFixed(1),
      pauses: ofLong.reduce((sum, { pauses }) => sum + pauses, 0),
      'steps done again, %': ((100 * (steps - needed)) / needed).toFixed(1),
    };
  } finally {
    await gateway.stop();
  }
}
