import type { InferBatchStatistics, InferStatistics, ModelStatistics } from '../../proto/gen/grpc_service.ts';

interface Duration {
  count: bigint;
  ns: bigint;
}

/** Where the time of a run went, nanoseconds. */
export interface RunDurations {
  computeInput: bigint;
  computeInfer: bigint;
  computeOutput: bigint;
}

/**
 * ModelStatistics of one version of a model. Only requests that reach the model count, not those that are rejected by checks or
 * time out in the queue.
 */
export class Statistics {
  #lastInference = 0n;
  #inferenceCount = 0n;
  #executionCount = 0n;
  readonly #success = none();
  readonly #fail = none();
  readonly #queue = none();
  readonly #compute = { computeInput: none(), computeInfer: none(), computeOutput: none() };
  readonly #batches = new Map<bigint, Record<keyof RunDurations, Duration>>();

  /** One run of a batch of this many items. */
  countRun(batchSize: number, durations: RunDurations): void {
    this.#executionCount++;
    const size = BigInt(batchSize);
    const batch = this.#batches.get(size) ?? { computeInput: none(), computeInfer: none(), computeOutput: none() };
    this.#batches.set(size, batch);
    for (const part of ['computeInput', 'computeInfer', 'computeOutput'] as const) {
      add(batch[part], durations[part]);
    }
  }

  /** One request of a run that succeeded; it held this many batch items. */
  countSuccess(batchSize: number, total: bigint, queued: bigint, durations: RunDurations): void {
    this.#lastInference = BigInt(Date.now());
    this.#inferenceCount += BigInt(batchSize);
    add(this.#success, total);
    add(this.#queue, queued);
    for (const part of ['computeInput', 'computeInfer', 'computeOutput'] as const) {
      add(this.#compute[part], durations[part]);
    }
  }

  /** One request of a run that failed. */
  countFailure(total: bigint): void {
    add(this.#fail, total);
  }

  toMessage(name: string, version: bigint): ModelStatistics {
    const inferenceStats: InferStatistics = {
      success: { ...this.#success },
      fail: { ...this.#fail },
      queue: { ...this.#queue },
      computeInput: { ...this.#compute.computeInput },
      computeInfer: { ...this.#compute.computeInfer },
      computeOutput: { ...this.#compute.computeOutput },
      cacheHit: none(),
      cacheMiss: none(),
    };
    const batchStats = [...this.#batches]
      .sort(([a], [b]) => Number(a - b))
      .map(([batchSize, durations]): InferBatchStatistics => ({ batchSize, ...durations }));
    return {
      name,
      version: String(version),
      lastInference: this.#lastInference,
      inferenceCount: this.#inferenceCount,
      executionCount: this.#executionCount,
      inferenceStats,
      batchStats,
      memoryUsage: [],
      responseStats: {},
    };
  }
}

function none(): Duration {
  return { count: 0n, ns: 0n };
}

function add(duration: Duration, nanoseconds: bigint): void {
  duration.count++;
  duration.ns += nanoseconds;
}
