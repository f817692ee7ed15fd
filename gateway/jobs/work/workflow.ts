import type { StageName } from '../../../services/pipeline/stages.ts';
import type { Tensor } from '../../../services/pipeline/tensor.ts';
import type { OnProgress } from '../../stages/on-progress.ts';
import type { ObjectStore } from '../../storage/object-store.ts';
import type { StageProgress } from '../job.ts';
import type { JobLedger } from '../store/job-ledger.ts';
import type { ClaimedJob } from '../store/leases.ts';
import { inStageSpan } from './job-trace.ts';
import { loadResult, saveResult } from './stage-results.ts';

/** Minimum interval between progress records of frames, in milliseconds. */
const frameInterval = 250;

/** A stage whose result is recorded. */
export interface RecordedStage<T> {
  stage: StageName;
  /** The stage's name among the job's results. */
  key: string;
  /** Steps. */
  total: number;
  run(onProgress: OnProgress): Promise<T>;
  save(result: T): Readonly<Record<string, Tensor>>;
  load(tensors: ReadonlyMap<string, Tensor>): T;
  /** Warnings for the caller about the result. */
  warnings?(result: T): string[];
}

export interface WorkflowOptions {
  claimed: ClaimedJob;
  ledger: JobLedger;
  objects: ObjectStore;
  signal: AbortSignal;
}

/** Takes a job through its stages, recording each result so that a finished stage never runs again. */
export class Workflow {
  readonly #options: WorkflowOptions;
  #current: StageName | undefined;
  #noteWait: (waits: boolean) => void = () => {};

  constructor(options: WorkflowOptions) {
    this.#options = options;
  }

  /** The current stage. */
  get current(): StageName | undefined {
    return this.#current;
  }

  /** Records whether the current stage waits for a replica. */
  noteWait(waits: boolean): void {
    this.#noteWait(waits);
  }

  /** Runs a stage unless an earlier attempt finished it. Stored results are read only when needed. */
  async recorded<T>(step: RecordedStage<T>): Promise<() => Promise<T>> {
    const { claimed, ledger, objects, signal } = this.#options;
    const stored = claimed.results.get(step.key);
    if (stored) {
      let loaded: Promise<T> | undefined;
      return () => (loaded ??= loadResult(objects, step.key, stored).then(step.load));
    }
    return inStageSpan(step.stage, claimed.row, async () => {
      const begun = this.#begin(step.stage, step.total);
      const result = await step.run(async (count, total) => begun.report(count, total));
      const saved = await saveResult(objects, claimed.row, step.key, step.save(result), signal);
      const last = begun.finished();
      await ledger.record(
        { stage: step.key, ...saved, seconds: last.seconds },
        {
          stages: begun.stages(last),
          warnings: [...ledger.status.warnings, ...(step.warnings?.(result) ?? [])],
        },
      );
      this.#current = undefined;
      return async () => result;
    });
  }

  /** Runs the last stage, whose result ends the job. Frames arrive fast, so only some are recorded. */
  async last<T>(stage: StageName, total: number, run: (onProgress: OnProgress) => Promise<T>): Promise<T> {
    const begun = this.#begin(stage, total);
    let reported = performance.now();
    const onProgress: OnProgress = async (count, frames) => {
      if (performance.now() - reported >= frameInterval) {
        reported = performance.now();
        begun.report(count, frames);
      }
    };
    const result = await inStageSpan(stage, this.#options.claimed.row, () => run(onProgress));
    this.#options.ledger.change('stage', { stages: begun.stages(begun.finished()) });
    return result;
  }

  #begin(stage: StageName, total: number) {
    const { ledger } = this.#options;
    const done = ledger.status.stages;
    const time = new StageTime();
    let last = total;
    const progress = (step: number): StageProgress => ({
      stage,
      step,
      total: last,
      seconds: time.seconds,
    });
    const stages = (latest: StageProgress) => [...done, latest];
    this.#current = stage;
    ledger.change('stage', { stages: stages(progress(0)) });
    this.#noteWait = (waits) => {
      time.setWaiting(waits);
      ledger.change('progress', { stages: stages({ ...progress(0), ...(waits && { waiting: true }) }) });
    };
    return {
      stages,
      finished: () => progress(last),
      report(step: number, steps: number) {
        last = steps;
        ledger.change('progress', { stages: stages(progress(step)) });
      },
    };
  }
}

/** Time in a stage, without waits for a replica. */
class StageTime {
  #before = 0;
  #since: number | undefined = performance.now();

  get seconds(): number {
    return (this.#before + (this.#since === undefined ? 0 : performance.now() - this.#since)) / 1000;
  }

  setWaiting(waits: boolean): void {
    this.#before = this.seconds * 1000;
    this.#since = waits ? undefined : performance.now();
  }
}
