import type { ModelConfig } from '../../proto/gen/model_config.ts';
import type { RegionLease } from './shared-memory.ts';
import type { Statistics } from './statistics.ts';
import type { RegionTensor, WireTensor } from './tensors.ts';

/** A checked request. */
export interface ModelRequest {
  readonly id: string;
  /** Level of the priority queue; 0 where the model has none. */
  readonly priority: bigint;
  /** The caller's limit on the time in the queue; 0: none. */
  readonly timeoutMicroseconds: bigint;
  /** Batch items; 0 for a model without batching. */
  readonly batchSize: number;
  /** By name, in the shapes of the model's file (after the configuration's `reshape`). */
  readonly inputs: ReadonlyMap<string, WireTensor | RegionTensor>;
  /** Names of the wanted outputs. */
  readonly outputs: readonly string[];
  /** Where outputs may be put instead of being returned, if they fit. */
  readonly places?: ReadonlyMap<string, RegionLease>;
  /** Called for each run with the request's share of its time, by items, seconds. */
  readonly onRun?: ((seconds: number) => void) | undefined;
}

/** Outputs by name, in the shapes that the configuration declares. */
export type ModelOutputs = Map<string, WireTensor>;

/** One version of a model that serves requests. */
export interface Model {
  readonly name: string;
  readonly version: bigint;
  readonly config: ModelConfig;
  readonly statistics: Statistics;
  /** Class names by output, for those that have them. */
  readonly labels: ReadonlyMap<string, readonly string[]>;
  /**
   * Queues a request; throws UNAVAILABLE if the queue is full or the model is being unloaded. The promise rejects with a later
   * error, or with an AbortError as soon as the signal aborts.
   */
  infer(request: ModelRequest, signal: AbortSignal): Promise<ModelOutputs>;
  /** Takes no more requests, finishes those in progress, then frees everything. */
  close(): Promise<void>;
}
