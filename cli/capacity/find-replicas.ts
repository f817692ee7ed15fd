import { Status } from 'nice-grpc-common';
import { FusionError, invalidField } from '../../services/kit/errors.ts';
import { poissonArrivals } from './arrivals.ts';
import { percentile, type SimulationResult, simulate } from './simulate.ts';
import type { StageLoad } from './stage-load.ts';

export interface CapacityPlan {
  /** Backends of each stage. */
  replicas: number[];
  /** Videos that arrive at random at the given rate. */
  result: SimulationResult;
  /** Seconds in each stage of a video that has the mesh to itself. */
  alone: number[];
}

/** Minimum number of simulated videos, absolute and as a multiple of the videos in progress at once. */
const minVideos = 1000;
const turnovers = 20;
const maxReplicas = 200;

/**
 * The smallest number of backends of each stage with which 95 % of the videos are ready in time. Throws INVALID_ARGUMENT if
 * even a single video would be late, and FAILED_PRECONDITION if a stage needs more than 200 backends.
 *
 * @param perSecond videos that arrive in a second, on average
 * @param latencySeconds 95 % of the videos; absent: twice the time of a video alone
 */
export function findReplicas(
  stages: readonly StageLoad[],
  perSecond: number,
  latencySeconds: number | undefined,
): CapacityPlan {
  const single = simulate({ stages, replicas: stages.map(() => 1), arrivals: [0] });
  const alone = single.stages.map(({ seconds }) => seconds[0]!);
  const shortest = single.latencies[0]!;
  const allowed = latencySeconds ?? 2 * shortest;
  if (allowed <= shortest) {
    throw invalidField('--p95', allowed, `more than ${Number(shortest.toPrecision(3))}, the seconds of a video alone`);
  }
  const videos = Math.max(minVideos, Math.ceil(turnovers * perSecond * shortest));
  const arrivals = poissonArrivals(perSecond, videos, 1);
  const attempt = (replicas: readonly number[]) => simulate({ stages, replicas, arrivals });
  const isInTime = ({ latencies }: SimulationResult) => percentile(settled(latencies), 0.95) <= allowed;

  // Fewer cannot keep up even with full batches.
  const replicas = stages.map((stage) => Math.max(1, Math.ceil(perSecond * minSeconds(stage))));
  rejectTooMany(stages, replicas);
  let result = attempt(replicas);
  while (!isInTime(result)) {
    const stage = slowest(result, alone);
    replicas[stage]! += Math.max(1, Math.floor(replicas[stage]! / 10));
    rejectTooMany(stages, replicas);
    result = attempt(replicas);
  }
  for (const [stage, count] of replicas.entries()) {
    for (let fewer = count - 1; fewer >= 1; fewer--) {
      const smaller = attempt(replicas.with(stage, fewer));
      if (!isInTime(smaller)) {
        break;
      }
      replicas[stage] = fewer;
      result = smaller;
    }
  }
  return { replicas, result, alone };
}

function rejectTooMany(stages: readonly StageLoad[], replicas: readonly number[]): void {
  const stage = replicas.findIndex((count) => count > maxReplicas);
  if (stage !== -1) {
    throw new FusionError(
      Status.FAILED_PRECONDITION,
      `--rate: ${stages[stage]!.stage} needs more than ${maxReplicas} backends; plan for a lower rate`,
      { reason: 'TOO_MANY_REPLICAS', field: '--rate' },
    );
  }
}

/** Without the first videos, which find idle backends. */
export function settled(values: readonly number[]): number[] {
  return values.slice(Math.floor(values.length / 5));
}

/** Backend time of a video when every batch is full. */
function minSeconds({ calls, maxBatchSize, retryRate }: StageLoad): number {
  const seconds = calls.reduce((sum, { times, items, secondsOf }) => {
    const videos = Math.max(1, Math.floor(maxBatchSize / items));
    return sum + (times * secondsOf(items * videos)) / videos;
  }, 0);
  return seconds / (1 - retryRate);
}

/** The stage in which videos wait longest for others. */
function slowest({ stages }: SimulationResult, alone: readonly number[]): number {
  const lost = stages.map(({ seconds }, stage) => percentile(settled(seconds), 0.95) - alone[stage]!);
  return lost.indexOf(Math.max(...lost));
}
