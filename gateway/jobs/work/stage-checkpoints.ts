import { Status } from 'nice-grpc-common';
import { FusionError } from '../../../services/kit/errors.ts';
import type { Logger } from '../../../services/kit/log.ts';
import { record } from '../../../services/kit/telemetry/metrics.ts';
import { outcomeOf } from '../../../services/kit/telemetry/spans.ts';
import type { Checkpoint } from '../../../services/pipeline/checkpoint-pieces.ts';
import { encodeTensorFile } from '../../../services/pipeline/safetensors/tensor-file.ts';
import type { Tensor } from '../../../services/pipeline/tensor.ts';
import { warnUnlessAway } from '../../database/outage-log.ts';
import type { ObjectStore } from '../../storage/object-store.ts';
import { putVerified } from '../../storage/verified-object.ts';
import { checkpointKey, checkpointsPrefix } from '../object-keys.ts';
import type { JobLedger } from '../store/job-ledger.ts';
import type { ClaimedJob, StoredCheckpoint } from '../store/leases.ts';
import { loadResult } from './stage-results.ts';

/** Checkpoints are skipped until this many times as long has passed as the last one took to record. */
const restFactor = 20;

export interface StageCheckpointsOptions {
  claimed: ClaimedJob;
  ledger: JobLedger;
  objects: ObjectStore;
  /** The stage's name among the job's results. */
  stage: string;
  /** Aborts when the job must make room for another one. */
  pausing: AbortSignal;
  /** Aborts `signal` if the job must still make room. To be called where nothing would be lost. */
  pauseIfDue(): Promise<void>;
  log: Logger;
  signal: AbortSignal;
}

/**
 * Records the checkpoints of a stage while it runs, one at a time: those that arrive meanwhile are skipped. The job
 * does not depend on them, so failures are only logged.
 */
export class StageCheckpoints {
  /** The checkpoint that an earlier attempt recorded. */
  readonly loaded: StoredCheckpoint | undefined;
  readonly #options: StageCheckpointsOptions;
  readonly #stopped = new AbortController();
  readonly #signal: AbortSignal;
  #lastKey: string | undefined;
  #recording: Promise<void> | undefined;
  /** As `performance.now()`. */
  #restsUntil = 0;

  constructor(options: StageCheckpointsOptions) {
    const { checkpoint } = options.claimed;
    this.#options = options;
    this.#signal = AbortSignal.any([options.signal, this.#stopped.signal]);
    this.loaded = checkpoint?.stage === options.stage ? checkpoint : undefined;
    this.#lastKey = this.loaded?.key;
  }

  /** Where to continue; undefined without a checkpoint or if it is damaged. Throws UNAVAILABLE while the store fails. */
  async load(): Promise<Checkpoint | undefined> {
    const { objects, stage, log } = this.#options;
    if (!this.loaded) {
      return undefined;
    }
    const { step, run } = this.loaded;
    try {
      const tensors = await loadResult(objects, stage, this.loaded);
      return { step, run, state: tensors.get('state') as Tensor<'float32'> };
    } catch (error) {
      if (error instanceof FusionError && error.code === Status.DATA_LOSS) {
        log.warn({ stage, step, err: error }, 'a checkpoint cannot be read: the stage starts over');
        return undefined;
      }
      throw error;
    }
  }

  /** Starts to record a checkpoint, unless it comes too early. @param seconds time in the stage so far */
  record(checkpoint: Checkpoint, seconds: number): void {
    const started = performance.now();
    const { stage, pausing, log } = this.#options;
    const isDue = pausing.aborted || started >= this.#restsUntil;
    if (this.#recording || !isDue || this.#signal.aborted) {
      return;
    }
    const measure = (outcome: string) => {
      const took = performance.now() - started;
      this.#restsUntil = performance.now() + restFactor * took;
      record('fusionframes.checkpoint.duration', took / 1000, { 'fusionframes.outcome': outcome });
    };
    this.#recording = this.#record(checkpoint, seconds)
      .then(
        () => measure('succeeded'),
        (error) => {
          measure(outcomeOf(error));
          if (!this.#signal.aborted) {
            warnUnlessAway(log, error, { stage, step: checkpoint.step }, 'a checkpoint could not be recorded');
          }
        },
      )
      .finally(() => {
        this.#recording = undefined;
      });
  }

  /** Abandons an unfinished checkpoint. */
  async stop(): Promise<void> {
    this.#stopped.abort();
    await this.#recording;
  }

  /** Removes the checkpoints, once the stage's result is recorded. */
  async remove(): Promise<void> {
    const { claimed, objects, log } = this.#options;
    if (this.#lastKey !== undefined) {
      const prefix = checkpointsPrefix(claimed.row.id);
      await objects.removeAll(prefix).catch((error) => warnUnlessAway(log, error, {}, 'checkpoints are left'));
    }
  }

  async #record({ step, run, state }: Checkpoint, seconds: number): Promise<void> {
    const { claimed, ledger, objects, stage } = this.#options;
    const { id, attempt } = claimed.row;
    const [key, other] = [checkpointKey(id, attempt, stage, 0), checkpointKey(id, attempt, stage, 1)];
    const free = key === this.#lastKey ? other : key;
    const body = encodeTensorFile({ state });
    const stored = await putVerified(objects, free, body, {
      mediaType: 'application/octet-stream',
      signal: this.#signal,
    });
    if (await ledger.recordCheckpoint({ stage, step, run, key: free, seconds, ...stored }, this.#signal)) {
      this.#lastKey = free;
      record('fusionframes.checkpoint.size', stored.bytes, {});
      await this.#options.pauseIfDue();
    }
  }
}
