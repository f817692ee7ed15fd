import { describeSpan } from '../../../services/kit/telemetry/spans.ts';
import type { Checkpoint } from '../../../services/pipeline/checkpoint-pieces.ts';
import type { StageName } from '../../../services/pipeline/stages.ts';
import type { Tensor } from '../../../services/pipeline/tensor.ts';
import type { OnProgress } from '../../stages/on-progress.ts';
import type { StageProgress } from '../job.ts';
import { addSeconds } from '../stage-seconds.ts';
import type { StoredCheckpoint } from '../store/leases.ts';
import { inStageSpan } from './job-trace.ts';
import { StageCheckpoints, type StageCheckpointsOptions } from './stage-checkpoints.ts';
import { loadResultPatiently, saveResult } from './stage-results.ts';

/** Minimum interval between progress records of frames, in milliseconds. */
const frameInterval = 250;

/** A stage whose result is recorded. */
export interface RecordedStage<T> {
  stage: StageName;
  /** The stage's name among the job's results. */
  key: string;
  /** Steps. */
  total: number;
  run(run: StageRun): Promise<T>;
  save(result: T): Readonly<Record<string, Tensor>>;
  load(tensors: ReadonlyMap<string, Tensor>): T;
  /** Warnings for the caller about the result. */
  warnings?(result: T): string[];
}

/** What a stage needs for a run that can be continued. */
export interface StageRun {
  onProgress: OnProgress;
  /** Time between two checkpoints, seconds; 0: none. */
  checkpointSeconds: number;
  onCheckpoint(checkpoint: Checkpoint): void;
  /** Where to continue; undefined: from the start. */
  from: Checkpoint | undefined;
}

export interface WorkflowOptions extends Omit<StageCheckpointsOptions, 'stage'> {
  /** Time in a stage between two checkpoints, seconds; 0: none. */
  checkpointSeconds: number;
}

/**
 * Takes a job through its stages, recording each result, so that a finished stage never runs again, and checkpoints within the
 * stages, so that an unfinished one does not start over.
 */
export class Workflow {
  readonly #options: WorkflowOptions;
  #current: StageName | undefined;
  /** Stages with a recorded result. */
  #finished: number;
  #noteWait: (waits: boolean) => void = () => {};

  constructor(options: WorkflowOptions) {
    this.#options = options;
    this.#finished = options.claimed.results.size;
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
    const { claimed, ledger, objects, checkpointSeconds, log, signal } = this.#options;
    const stored = claimed.results.get(step.key);
    if (stored) {
      let loaded: Promise<T> | undefined;
      return () => (loaded ??= loadResultPatiently(objects, step.key, stored, signal).then(step.load));
    }
    await this.#options.pauseIfDue();
    signal.throwIfAborted();
    return inStageSpan(step.stage, claimed.row, async () => {
      const checkpoints = new StageCheckpoints({ ...this.#options, stage: step.key });
      const begun = this.#begin(step.stage, step.total, checkpoints.loaded);
      const from = await checkpoints.load();
      if (from) {
        describeSpan<'fusionframes.stage'>({ 'fusionframes.step': from.step });
        log.info({ stage: step.stage, step: from.step, notice: true }, 'the stage continues after a recorded step');
      } else if (checkpoints.loaded) {
        begun.startOver();
      }
      const run = {
        onProgress: async (count: number, total: number) => begun.report(count, total),
        checkpointSeconds,
        onCheckpoint: (checkpoint: Checkpoint) => checkpoints.record(checkpoint, begun.seconds),
        from,
      };
      const result = await step.run(run).finally(() => checkpoints.stop());
      const saved = await saveResult(objects, claimed.row, step.key, step.save(result), signal);
      const last = begun.finished();
      await ledger.record(
        { stage: step.key, ...saved, seconds: last.seconds },
        {
          stages: begun.stages(last),
          warnings: [...ledger.status.warnings, ...(step.warnings?.(result) ?? [])],
        },
      );
      this.#finished++;
      this.#current = undefined;
      await checkpoints.remove();
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

  /** @param from the checkpoint with which the stage starts */
  #begin(stage: StageName, total: number, from?: StoredCheckpoint) {
    const { ledger } = this.#options;
    const done = ledger.status.stages.slice(0, this.#finished);
    const time = new StageTime(from?.seconds);
    let [first, last] = [from?.step ?? 0, total];
    const progress = (step: number): StageProgress => ({
      stage,
      step,
      total: last,
      seconds: time.seconds,
    });
    const stages = (latest: StageProgress) => [...done, latest];
    this.#current = stage;
    ledger.change('stage', { stages: stages(progress(first)) });
    this.#noteWait = (waits) => {
      time.setWaiting(waits);
      ledger.change('progress', { stages: stages({ ...progress(first), ...(waits && { waiting: true }) }) });
    };
    const startOver = () => {
      const lostSeconds = addSeconds(ledger.status.lostSeconds, [{ stage, seconds: time.forgetEarlier() }]);
      first = 0;
      ledger.change('progress', { stages: stages(progress(first)), lostSeconds });
    };
    return {
      stages,
      finished: () => progress(last),
      get seconds() {
        return time.seconds;
      },
      /** The checkpoint was of no use. */
      startOver,
      report(step: number, steps: number) {
        if (step <= first) {
          startOver();
        }
        last = steps;
        ledger.change('progress', { stages: stages(progress(step)) });
      },
    };
  }
}

/** Time in a stage, without waits for a replica. */
class StageTime {
  /** In earlier attempts, seconds. */
  #earlier: number;
  #before = 0;
  #since: number | undefined = performance.now();

  constructor(earlier = 0) {
    this.#earlier = earlier;
  }

  get seconds(): number {
    return this.#earlier + this.#own / 1000;
  }

  /** Milliseconds in this attempt. */
  get #own(): number {
    return this.#before + (this.#since === undefined ? 0 : performance.now() - this.#since);
  }

  /** Counts this attempt alone; returns the seconds of the earlier ones. */
  forgetEarlier(): number {
    const seconds = this.#earlier;
    this.#earlier = 0;
    return seconds;
  }

  setWaiting(waits: boolean): void {
    this.#before = this.#own;
    this.#since = waits ? undefined : performance.now();
  }
}
