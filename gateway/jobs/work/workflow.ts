import { Status } from 'nice-grpc-common';
import { FusionError } from '../../../services/kit/errors.ts';
import { add } from '../../../services/kit/telemetry/metrics.ts';
import { describeSpan } from '../../../services/kit/telemetry/spans.ts';
import type { Checkpoint } from '../../../services/pipeline/checkpoint-pieces.ts';
import type { StageName } from '../../../services/pipeline/stages.ts';
import type { Tensor } from '../../../services/pipeline/tensor.ts';
import type { OnProgress } from '../../stages/on-progress.ts';
import type { StageProgress } from '../job.ts';
import { addSeconds } from '../stage-seconds.ts';
import type { RecordedResult, StoredCheckpoint, StoredResult } from '../store/leases.ts';
import { inStageSpan } from './job-trace.ts';
import { StageCheckpoints, type StageCheckpointsOptions } from './stage-checkpoints.ts';
import { stageContent } from './stage-content.ts';
import { loadResult, loadResultPatiently, saveResult } from './stage-results.ts';

/** Minimum interval between progress records of frames, in milliseconds. */
const frameInterval = 250;

/** A stage whose result is recorded. */
export interface RecordedStage<T> {
  stage: StageName;
  /** The stage's name among the job's results. */
  key: string;
  /** Steps. */
  total: number;
  /** What determines the result besides the model and `from`. */
  request: readonly unknown[];
  /** The result from which the stage continues; absent for the first stage. */
  from?: StageResult<unknown>;
  /** Whether the result may be kept for other videos. */
  isReusable: boolean;
  run(run: StageRun): Promise<T>;
  save(result: T): Readonly<Record<string, Tensor>>;
  load(tensors: ReadonlyMap<string, Tensor>): T;
  /** Warnings for the caller about the result. */
  warnings?(result: T): string[];
}

/** The recorded result of a stage. */
export interface StageResult<T> {
  /** Of the stored result. */
  sha256: string;
  /** Read only when needed. */
  load(): Promise<T>;
}

/** What a stage needs for a run that can be continued. */
export interface StageRun {
  /** The model that the stage must use; empty: any. */
  model: string;
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
  /** Whether results are kept for other videos. */
  keepsResults: boolean;
  /** Finds a kept result of the same API key. */
  findKept(content: string): Promise<StoredResult | undefined>;
  /** Names a stage's model, waiting for a replica if there is none; undefined if the stage does not know it. */
  describeModel(stage: StageName): Promise<string | undefined>;
  /** The same without waiting: also undefined while the stage has no replica. */
  describeModelNow(stage: StageName): Promise<string | undefined>;
}

/**
 * Takes a job through its stages, recording each result, so that a finished stage never runs again, and checkpoints within the
 * stages, so that an unfinished one does not start over. All results of a video are from the same models: those of a model
 * that was replaced meanwhile are made again. A result that another video of the same key already has is not made at all.
 */
export class Workflow {
  readonly #options: WorkflowOptions;
  readonly #results: Map<string, RecordedResult>;
  /** Models of the results used so far. */
  readonly #models = new Map<StageName, string>();
  #current: StageName | undefined;
  /** Names of the results used so far. */
  readonly #used = new Set<string>();
  #noteWait: (waits: boolean) => void = () => {};

  constructor(options: WorkflowOptions) {
    this.#options = options;
    this.#results = new Map(options.claimed.results);
  }

  /** The current stage. */
  get current(): StageName | undefined {
    return this.#current;
  }

  /** Records whether the current stage waits for a replica. */
  noteWait(waits: boolean): void {
    this.#noteWait(waits);
  }

  /** Runs a stage unless an earlier attempt finished it, or another video has the same result. */
  async recorded<T>(step: RecordedStage<T>): Promise<StageResult<T>> {
    const { claimed, ledger, objects, keepsResults, log, signal } = this.#options;
    const stored = this.#results.get(step.key);
    if (stored && (await this.#isCurrent(step, stored))) {
      this.#used.add(step.key);
      let loaded: Promise<T> | undefined;
      const load = () => (loaded ??= loadResultPatiently(objects, step.key, stored, signal).then(step.load));
      return { sha256: stored.sha256, load };
    }
    if (stored) {
      log.warn({ stage: step.stage }, 'the model was replaced: the job starts over from this stage');
      await this.#startOver();
    }
    await this.#options.pauseIfDue();
    signal.throwIfAborted();
    return inStageSpan(step.stage, claimed.row, async () => {
      const checkpoints = new StageCheckpoints({ ...this.#options, stage: step.key });
      const begun = this.#begin(step.stage, step.total, checkpoints.loaded);
      const model = await this.#options.describeModel(step.stage);
      this.#noteModel(step.stage, model);
      const content = contentOf(step, model);
      const isKept = keepsResults && step.isReusable && content !== undefined;
      const kept = isKept ? await this.#loadKept(step, content) : undefined;
      const result = kept ?? (await this.#run(step, model ?? '', checkpoints, begun));
      const saved = await saveResult(objects, claimed.row, step.key, step.save(result), isKept, signal);
      const last: StageProgress = { ...begun.finished(), ...(kept && { reused: true }) };
      await ledger.record(
        { stage: step.key, ...saved, seconds: last.seconds, content, isKept },
        {
          stages: begun.stages(last),
          warnings: [...ledger.status.warnings, ...(step.warnings?.(result) ?? [])],
          ...(kept && { reusedStages: ledger.status.reusedStages + 1 }),
        },
      );
      this.#used.add(step.key);
      this.#current = undefined;
      await checkpoints.remove();
      return { sha256: saved.sha256, load: async () => result };
    });
  }

  async #run<T>(step: RecordedStage<T>, model: string, checkpoints: StageCheckpoints, begun: BegunStage): Promise<T> {
    const { checkpointSeconds, log } = this.#options;
    const from = await checkpoints.load();
    if (from) {
      describeSpan<'fusionframes.stage'>({ 'fusionframes.step': from.step });
      log.info({ stage: step.stage, step: from.step, notice: true }, 'the stage continues after a recorded step');
    } else if (checkpoints.loaded) {
      begun.startOver();
    }
    const run = {
      model,
      onProgress: async (count: number, total: number) => begun.report(count, total),
      checkpointSeconds,
      onCheckpoint: (checkpoint: Checkpoint) => checkpoints.record(checkpoint, begun.seconds),
      from,
    };
    return step.run(run).finally(() => checkpoints.stop());
  }

  /** The same result of another video; undefined if there is none that can be read. */
  async #loadKept<T>(step: RecordedStage<T>, content: string): Promise<T | undefined> {
    const { objects, findKept, log } = this.#options;
    const found = await findKept(content);
    if (!found) {
      return undefined;
    }
    try {
      const result = step.load(await loadResult(objects, step.key, found));
      add('fusionframes.results.reused', 1, { 'fusionframes.stage': step.stage });
      log.info({ stage: step.stage, notice: true }, 'the stage has the result of another video');
      return result;
    } catch (error) {
      if (error instanceof FusionError && error.code === Status.DATA_LOSS) {
        log.warn({ stage: step.stage, err: error }, 'a kept result cannot be read: the stage runs');
        return undefined;
      }
      throw error;
    }
  }

  /** Whether a recorded result is what the stage would make now. It is assumed while that cannot be found out. */
  async #isCurrent(step: RecordedStage<unknown>, { content }: RecordedResult): Promise<boolean> {
    const model = content === null ? undefined : await this.#options.describeModelNow(step.stage);
    this.#noteModel(step.stage, model);
    return model === undefined || contentOf(step, model) === content;
  }

  #noteModel(stage: StageName, model: string | undefined): void {
    if (model !== undefined) {
      this.#models.set(stage, model);
    }
  }

  /** Forgets the results of the current stage and of all later ones. */
  async #startOver(): Promise<void> {
    const { ledger } = this.#options;
    const { stages, lostSeconds } = ledger.status;
    const keys = [...this.#results.keys()].filter((key) => !this.#used.has(key));
    const finished = this.#used.size;
    keys.forEach((key) => void this.#results.delete(key));
    await ledger.forget(keys, {
      stages: stages.slice(0, finished),
      lostSeconds: addSeconds(lostSeconds, stages.slice(finished)),
      reusedStages: finished,
    });
  }

  /** Throws UNAVAILABLE, for another attempt, if a model that made one of the results was replaced since. */
  async #requireSameModels(): Promise<void> {
    await Promise.all(
      [...this.#models].map(async ([stage, model]) => {
        const now = await this.#options.describeModelNow(stage);
        if (now !== undefined && now !== model) {
          const message = `The model of the stage ${stage} was replaced while the video was made`;
          throw new FusionError(Status.UNAVAILABLE, message, { reason: 'MODEL_CHANGED' });
        }
      }),
    );
  }

  /** Runs the last stage, whose result ends the job. Frames arrive fast, so only some are recorded. */
  async last<T>(
    stage: StageName,
    total: number,
    run: (onProgress: OnProgress, model: string) => Promise<T>,
  ): Promise<T> {
    const begun = this.#begin(stage, total);
    const model = (await this.#options.describeModel(stage)) ?? '';
    await this.#requireSameModels();
    let reported = performance.now();
    const onProgress: OnProgress = async (count, frames) => {
      if (performance.now() - reported >= frameInterval) {
        reported = performance.now();
        begun.report(count, frames);
      }
    };
    const result = await inStageSpan(stage, this.#options.claimed.row, () => run(onProgress, model));
    this.#options.ledger.change('stage', { stages: begun.stages(begun.finished()) });
    return result;
  }

  /** @param from the checkpoint with which the stage starts */
  #begin(stage: StageName, total: number, from?: StoredCheckpoint): BegunStage {
    const { ledger } = this.#options;
    const done = ledger.status.stages.slice(0, this.#used.size);
    const time = new StageTime(from?.seconds);
    let [first, last] = [from?.step ?? 0, total];
    const progress = (step: number) => ({
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

/** A stage in progress. */
interface BegunStage {
  /** The job's stages, the current one being `latest`. */
  stages(latest: StageProgress): StageProgress[];
  finished(): StageProgress;
  readonly seconds: number;
  /** The checkpoint was of no use. */
  startOver(): void;
  report(step: number, steps: number): void;
}

function contentOf({ stage, request, from }: RecordedStage<unknown>, model: string | undefined): string | undefined {
  return model === undefined ? undefined : stageContent({ stage, model, request, from: from?.sha256 });
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
