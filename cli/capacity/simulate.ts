import { uniformNumbers } from './arrivals.ts';
import type { CallLoad, StageLoad } from './stage-load.ts';

export interface Simulation {
  stages: readonly StageLoad[];
  /** Backends of each stage. */
  replicas: readonly number[];
  /** Ascending, seconds. */
  arrivals: readonly number[];
  /** Whether the replicas only start at time 0; otherwise they are ready. */
  cold?: boolean;
}

export interface SimulatedStage {
  /** Share of the time in which its backends were busy, 0 to 1. */
  utilization: number;
  /** Time that each video spent in the stage, seconds, in the order of arrival. */
  seconds: number[];
  /** The part of it in which its calls waited. */
  waits: number[];
  /** Backend time of all videos together, seconds. */
  busySeconds: number;
  batches: number;
  /** Items of all batches. */
  items: number;
}

export interface SimulationResult {
  stages: SimulatedStage[];
  /** From arrival to the finished video, seconds, in the order of arrival. */
  latencies: number[];
  /** When the last video was finished, seconds. */
  end: number;
  /** Videos in progress at each arrival, including the new one. */
  inProgress: number[];
}

interface Job {
  index: number;
  stage: number;
  call: number;
  /** Remaining calls of this kind, including the current one. */
  left: number;
  /** When it reached the stage, and when its current call did. */
  entered: number;
  queued: number;
  /** Between two calls: until when. */
  pausedUntil: number;
}

interface Replica {
  queue: Job[];
  running: Job[];
  /** When the current batch is done, or the replica has started. */
  busyUntil: number;
}

/**
 * Simulates every call of every video in the stages' queues. As in the mesh, each call goes to the backend of its stage with the
 * fewest calls, and a free backend takes as many waiting calls of one kind as fit into a batch. A stage's other work follows its
 * calls and occupies no backend.
 */
export function simulate({ stages, replicas, arrivals, cold = false }: Simulation): SimulationResult {
  const uniform = uniformNumbers(7);
  const pools = stages.map(({ startSeconds }, stage) =>
    Array.from({ length: replicas[stage]! }, (): Replica => {
      return { queue: [], running: [], busyUntil: cold ? startSeconds : 0 };
    }),
  );
  const result: SimulationResult = {
    stages: stages.map(() => ({
      utilization: 0,
      seconds: arrivals.map(() => 0),
      waits: arrivals.map(() => 0),
      busySeconds: 0,
      batches: 0,
      items: 0,
    })),
    latencies: arrivals.map(() => 0),
    end: 0,
    inProgress: [],
  };
  const pauses = stages.map(
    ({ calls, outsideSeconds }) => outsideSeconds / calls.reduce((sum, { times }) => sum + times, 0),
  );
  const paused = new Set<Job>();
  let arrived = 0;
  let finished = 0;

  const callOf = ({ stage, call }: Job): CallLoad => stages[stage]!.calls[call]!;

  const enqueue = (job: Job, now: number) => {
    const pool = pools[job.stage]!;
    job.queued = now;
    const callsAt = ({ queue, running }: Replica) => queue.length + running.length;
    const fewest = Math.min(...pool.map(callsAt));
    const least = pool.filter((replica) => callsAt(replica) === fewest);
    const replica = least[Math.floor(uniform() * least.length)]!;
    replica.queue.push(job);
    begin(replica, now);
  };

  const begin = (replica: Replica, now: number) => {
    const first = replica.queue[0];
    if (first === undefined || replica.running.length > 0 || replica.busyUntil > now) {
      return;
    }
    const { maxBatchSize } = stages[first.stage]!;
    const { items } = callOf(first);
    const room = Math.max(1, Math.floor(maxBatchSize / items));
    replica.running = replica.queue.filter(({ call }) => call === first.call).slice(0, room);
    replica.queue = replica.queue.filter((job) => !replica.running.includes(job));
    const measured = result.stages[first.stage]!;
    const seconds = callOf(first).secondsOf(items * replica.running.length);
    for (const job of replica.running) {
      measured.waits[job.index]! += now - job.queued;
    }
    measured.busySeconds += seconds;
    measured.batches++;
    measured.items += items * replica.running.length;
    replica.busyUntil = now + seconds;
  };

  const enterStage = (job: Job, now: number) => {
    if (job.stage === stages.length) {
      result.latencies[job.index] = now - arrivals[job.index]!;
      finished++;
      return;
    }
    job.entered = now;
    job.call = 0;
    job.left = callOf(job).times;
    enqueue(job, now);
  };

  const complete = (job: Job, now: number) => {
    if (uniform() < stages[job.stage]!.retryRate) {
      enqueue(job, now);
    } else if (pauses[job.stage]! > 0) {
      job.pausedUntil = now + pauses[job.stage]!;
      paused.add(job);
    } else {
      continueJob(job, now);
    }
  };

  const continueJob = (job: Job, now: number) => {
    if (--job.left === 0 && ++job.call < stages[job.stage]!.calls.length) {
      job.left = callOf(job).times;
    }
    if (job.left > 0) {
      enqueue(job, now);
      return;
    }
    result.stages[job.stage]!.seconds[job.index] = now - job.entered;
    job.stage++;
    enterStage(job, now);
  };

  while (finished < arrivals.length) {
    const waiting = pools.flat().filter(({ queue, running }) => queue.length + running.length > 0);
    const next = Math.min(
      ...waiting.map(({ busyUntil }) => busyUntil),
      ...[...paused].map(({ pausedUntil }) => pausedUntil),
    );
    const arrival = arrivals[arrived] ?? Number.POSITIVE_INFINITY;
    const now = Math.min(next, arrival);
    if (arrival <= next) {
      result.inProgress.push(arrived + 1 - finished);
      enterStage({ index: arrived++, stage: 0, call: 0, left: 0, entered: now, queued: now, pausedUntil: 0 }, now);
      continue;
    }
    for (const replica of waiting.filter(({ busyUntil }) => busyUntil <= now)) {
      for (const job of replica.running.splice(0)) {
        complete(job, now);
      }
      begin(replica, now);
    }
    for (const job of [...paused].filter(({ pausedUntil }) => pausedUntil <= now)) {
      paused.delete(job);
      continueJob(job, now);
    }
    result.end = now;
  }
  result.stages.forEach((stage, index) => {
    stage.utilization = stage.busySeconds / (result.end * replicas[index]!);
  });
  return result;
}

/** The value that `share` (0 to 1) of the values do not exceed. */
export function percentile(values: readonly number[], share: number): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.max(0, Math.ceil(share * sorted.length) - 1)]!;
}
