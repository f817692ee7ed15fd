import type { ModelConfig } from '../../proto/gen/model_config.ts';
import type { Statistics } from './statistics.ts';
import type { WireTensor } from './tensors.ts';

/** A request that passed the checks. */
export interface ModelRequest {
  readonly id: string;
  /** Level of the priority queue; 0 where the model has none. */
  readonly priority: bigint;
  /** The caller's limit on the time in the queue; 0: none. */
  readonly timeoutMicroseconds: bigint;
  /** Batch items; 0 for a model without batching. */
  readonly batchSize: number;
  /** By name, shaped as the model's file takes them (after the configuration's `reshape`). */
  readonly inputs: ReadonlyMap<string, WireTensor>;
  /** Names of the outputs wanted. */
  readonly outputs: readonly string[];
  /** Called for each run with the share, by items, that the request has of its time, seconds. */
  readonly onRun?: ((seconds: number) => void) | undefined;
}

/** Outputs by name, shaped as the configuration declares them. */
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
   * Takes a request in; throws at once when it cannot (UNAVAILABLE: queue full or model leaving). The promise rejects
   * with what went wrong later, or with an AbortError as soon as the signal aborts.
   */
  infer(request: ModelRequest, signal: AbortSignal): Promise<ModelOutputs>;
  /** Takes no further requests, finishes those it has, frees everything. */
  close(): Promise<void>;
}
