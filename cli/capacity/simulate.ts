import { type Clock, type EndBatch, type MeetingStep, StepMeeting } from '../../services/triton/steps/step-meeting.ts';
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
  /** Its process of the stage. */
  process: number;
}

interface Step extends MeetingStep {
  job: Job;
}

/** The calls of one job, or of several that have met. */
interface Request {
  jobs: readonly Job[];
  end(): void;
}

interface Replica {
  queue: Request[];
  running: Request[];
  /** When the current batch is done, or the replica has started. */
  busyUntil: number;
}

interface Timer {
  at: number;
  work(): void;
}

/**
 * Simulates every call of every video in the stages' queues. As in the mesh, each call goes to the backend of its stage with the
 * fewest calls, and a free backend takes as many waiting calls of one kind as fit into a batch; denoising steps meet before in
 * their process of the stage, of which there are as many as backends. A stage's other work follows its calls and occupies no
 * backend.
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
  const timers = new Set<Timer>();
  let now = 0;
  let arrived = 0;
  let finished = 0;

  const after = (seconds: number, work: () => void) => {
    const timer = { at: now + seconds, work };
    timers.add(timer);
    return () => void timers.delete(timer);
  };
  const clock: Clock = {
    now: () => now * 1000,
    after: (milliseconds, work) => after(milliseconds / 1000, work),
  };
  // By stage, process and kind of call.
  const meetings = stages.map(({ hasSteps, calls, maxBatchSize }, stage) =>
    pools[stage]!.map((_, __, { length }) =>
      hasSteps
        ? calls.map(() => new StepMeeting({ maxItems: maxBatchSize, servers: () => length, send: sendSteps, clock }))
        : [],
    ),
  );

  const callOf = ({ stage, call }: Job): CallLoad => stages[stage]!.calls[call]!;

  const oneOf = <T>(all: readonly T[]): T => all[Math.floor(uniform() * all.length)]!;

  const enqueue = (job: Job) => {
    job.queued = now;
    const meeting = meetings[job.stage]![job.process]![job.call];
    if (meeting) {
      meeting.add({ job, items: callOf(job).items, priority: 0 });
    } else {
      send({ jobs: [job], end: () => {} });
    }
  };

  function sendSteps(batch: readonly Step[], end: EndBatch): void {
    send({ jobs: batch.map(({ job }) => job), end: () => end(true) });
  }

  const send = (request: Request) => {
    const pool = pools[request.jobs[0]!.stage]!;
    const callsAt = ({ queue, running }: Replica) => queue.length + running.length;
    const fewest = Math.min(...pool.map(callsAt));
    const replica = oneOf(pool.filter((each) => callsAt(each) === fewest));
    replica.queue.push(request);
    begin(replica);
  };

  const begin = (replica: Replica) => {
    const first = replica.queue[0]?.jobs[0];
    if (first === undefined || replica.running.length > 0 || replica.busyUntil > now) {
      return;
    }
    const { maxBatchSize } = stages[first.stage]!;
    const { items, secondsOf } = callOf(first);
    const room = Math.max(1, Math.floor(maxBatchSize / items));
    let jobs = 0;
    replica.running = replica.queue.filter((request) => {
      const fits = request.jobs[0]!.call === first.call && (jobs === 0 || jobs + request.jobs.length <= room);
      jobs += fits ? request.jobs.length : 0;
      return fits;
    });
    replica.queue = replica.queue.filter((request) => !replica.running.includes(request));
    const measured = result.stages[first.stage]!;
    const seconds = secondsOf(items * jobs);
    for (const job of replica.running.flatMap((request) => request.jobs)) {
      measured.waits[job.index]! += now - job.queued;
    }
    measured.busySeconds += seconds;
    measured.batches++;
    measured.items += items * jobs;
    replica.busyUntil = now + seconds;
  };

  const enterStage = (job: Job) => {
    if (job.stage === stages.length) {
      result.latencies[job.index] = now - arrivals[job.index]!;
      finished++;
      return;
    }
    job.entered = now;
    job.call = 0;
    job.left = callOf(job).times;
    job.process = Math.floor(uniform() * pools[job.stage]!.length);
    enqueue(job);
  };

  const complete = (job: Job) => {
    if (uniform() < stages[job.stage]!.retryRate) {
      enqueue(job);
    } else if (pauses[job.stage]! > 0) {
      after(pauses[job.stage]!, () => continueJob(job));
    } else {
      continueJob(job);
    }
  };

  const continueJob = (job: Job) => {
    if (--job.left === 0 && ++job.call < stages[job.stage]!.calls.length) {
      job.left = callOf(job).times;
    }
    if (job.left > 0) {
      enqueue(job);
      return;
    }
    result.stages[job.stage]!.seconds[job.index] = now - job.entered;
    job.stage++;
    enterStage(job);
  };

  while (finished < arrivals.length) {
    const waiting = pools.flat().filter(({ queue, running }) => queue.length + running.length > 0);
    const next = Math.min(...waiting.map(({ busyUntil }) => busyUntil), ...[...timers].map(({ at }) => at));
    const arrival = arrivals[arrived] ?? Number.POSITIVE_INFINITY;
    now = Math.min(next, arrival);
    if (arrival <= next) {
      result.inProgress.push(arrived + 1 - finished);
      enterStage({ index: arrived++, stage: 0, call: 0, left: 0, entered: now, queued: now, process: 0 });
      continue;
    }
    for (const replica of waiting.filter(({ busyUntil }) => busyUntil <= now)) {
      for (const { jobs, end } of replica.running.splice(0)) {
        end();
        jobs.forEach(complete);
      }
      begin(replica);
    }
    for (const timer of [...timers].filter(({ at }) => at <= now)) {
      if (timers.delete(timer)) {
        timer.work();
      }
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
