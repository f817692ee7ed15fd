import { performance } from 'node:perf_hooks';
import type { ModelConfig } from '../../../proto/gen/model_config.ts';
import { type Deferred, deferred } from '../../kit/deferred.ts';
import { FusionError, toFusionError } from '../../kit/errors.ts';
import type { Logger } from '../../kit/log.ts';
import { add, record } from '../../kit/telemetry/metrics.ts';
import { describeSpan } from '../../kit/telemetry/spans.ts';
import { requestPrefix, unavailable } from '../errors.ts';
import type { ModelInstance } from '../execution/model-instance.ts';
import type { ModelOutputs, ModelRequest } from '../model.ts';
import type { Statistics } from '../statistics.ts';
import { type BatchRules, planBatch, type Waiting } from './plan-batch.ts';
import { type Queued, RequestQueue } from './request-queue.ts';
import { runBatch } from './run-batch.ts';

export interface SchedulerOptions {
  config: ModelConfig;
  statistics: Statistics;
  log: Logger;
  /** The model's first instance. */
  first: ModelInstance;
  /** Loads one more. */
  startInstance: () => Promise<ModelInstance>;
  /** Maximum number of instances; those after the first are loaded when all are busy. */
  maxInstances: number;
  /** Maximum queued requests if the model's queue policy sets none. */
  maxQueueSize: number;
}

interface Entry extends ModelRequest, Waiting, Queued {
  readonly arrivedNanoseconds: bigint;
  readonly outcome: Deferred<ModelOutputs>;
  /** How it was run, for its span. */
  run?: { queueSeconds: number; batchItems: number; backendSeconds?: number };
}

/** Runs the requests of one model on its instances: queues and batches them, and replaces instances that died. */
export class Scheduler {
  readonly #options: SchedulerOptions;
  readonly #model: { 'fusionframes.model': string };
  readonly #rules: BatchRules;
  readonly #queue: RequestQueue<Entry>;
  readonly #instances = new Set<ModelInstance>();
  #starting = 0;
  /** Lowered when another instance cannot be started, until one ends. */
  #instanceLimit: number;
  #running = 0;
  #isClosing = false;
  #timer: NodeJS.Timeout | undefined;
  #drained: Deferred<void> | undefined;

  constructor(options: SchedulerOptions) {
    this.#options = options;
    this.#instanceLimit = options.maxInstances;
    const { config } = options;
    this.#model = { 'fusionframes.model': config.name };
    const dynamic = config.schedulingChoice?.$case === 'dynamicBatching' ? config.schedulingChoice.value : undefined;
    this.#rules = {
      mayMerge: dynamic !== undefined && config.maxBatchSize > 1,
      maxItems: Math.max(1, config.maxBatchSize),
      preferredItems: new Set(dynamic?.preferredBatchSize),
      maxDelay: Number(dynamic?.maxQueueDelayMicroseconds ?? 0n) / 1000,
    };
    this.#queue = new RequestQueue(
      (priority) => dynamic?.priorityQueuePolicy.get(priority) ?? dynamic?.defaultQueuePolicy,
      options.maxQueueSize,
    );
    this.#adopt(options.first);
  }

  /** See `Model.infer`. */
  submit(request: ModelRequest, signal: AbortSignal): Promise<ModelOutputs> {
    if (this.#isClosing) {
      throw unavailable(`${requestPrefix(request.id)}model '${this.#options.config.name}' takes no further requests`);
    }
    const outcome = deferred<ModelOutputs>();
    const entry: Entry = {
      ...request,
      items: Math.max(1, request.batchSize),
      shapeKey: shapeKey(request),
      arrivedAt: performance.now(),
      arrivedNanoseconds: process.hrtime.bigint(),
      outcome,
      drop: (error) => {
        add('fusionframes.queue.depth', -1, this.#model);
        outcome.reject(error);
      },
    };
    this.#queue.add(entry);
    add('fusionframes.queue.depth', 1, this.#model);
    const leave = () => {
      this.#unqueue(entry);
      outcome.reject(signal.reason);
    };
    signal.addEventListener('abort', leave, { once: true });
    if (signal.aborted) {
      leave();
    }
    this.#pump();
    return outcome.promise.finally(() => {
      signal.removeEventListener('abort', leave);
      if (entry.run) {
        const { queueSeconds, batchItems, backendSeconds } = entry.run;
        describeSpan<'rpc.server'>({
          ...this.#model,
          'fusionframes.queue.wait': queueSeconds,
          'fusionframes.batch.size': batchItems,
          ...(backendSeconds !== undefined && { 'fusionframes.backend.seconds': backendSeconds }),
        });
      }
      this.#noteDrained();
    });
  }

  /** Takes no more requests; resolves when those in progress and all instances have ended. */
  async close(): Promise<void> {
    this.#isClosing = true;
    this.#drained = deferred();
    this.#pump();
    this.#noteDrained();
    await this.#drained.promise;
    clearTimeout(this.#timer);
    const instances = [...this.#instances];
    this.#instances.clear();
    add('fusionframes.instances', -instances.length, this.#model);
    await Promise.all(instances.map((instance) => instance.close()));
  }

  #noteDrained(): void {
    if (this.#queue.length === 0 && this.#running === 0 && this.#starting === 0) {
      this.#drained?.resolve();
    }
  }

  #pump(): void {
    clearTimeout(this.#timer);
    while (this.#queue.length > 0) {
      const idle = [...this.#instances].find((instance) => instance.isIdle);
      if (!idle) {
        this.#growIfAllowed();
        return;
      }
      const plan = planBatch(this.#queue, this.#rules, performance.now());
      if (plan.requests === 0 && !this.#isClosing) {
        this.#timer = setTimeout(() => this.#pump(), Math.ceil(plan.wait));
        return;
      }
      void this.#run(idle, this.#take(Math.max(1, plan.requests)));
    }
  }

  #take(count: number): Entry[] {
    const entries: Entry[] = [];
    for (const entry of this.#queue) {
      if (entries.length === count) {
        break;
      }
      entries.push(entry);
    }
    for (const entry of entries) {
      this.#unqueue(entry);
    }
    return entries;
  }

  #unqueue(entry: Entry): void {
    if (this.#queue.remove(entry)) {
      add('fusionframes.queue.depth', -1, this.#model);
    }
  }

  async #run(instance: ModelInstance, entries: Entry[]): Promise<void> {
    const { config, statistics } = this.#options;
    this.#running++;
    const batchItems = entries.reduce((sum, entry) => sum + entry.items, 0);
    const dispatched = process.hrtime.bigint();
    add('fusionframes.instances.busy', 1, this.#model);
    record('fusionframes.batch.size', batchItems, this.#model);
    for (const entry of entries) {
      const queueSeconds = Number(dispatched - entry.arrivedNanoseconds) / 1e9;
      entry.run = { queueSeconds, batchItems };
      record('fusionframes.queue.wait', queueSeconds, this.#model);
    }
    try {
      const { outputs, ended, durations } = await runBatch(instance, entries, config);
      statistics.countRun(batchItems, durations);
      const seconds = Number(durations.computeInfer) / 1e9;
      record('fusionframes.compute.duration', seconds, this.#model);
      for (const [index, entry] of entries.entries()) {
        const { arrivedNanoseconds } = entry;
        const own = outputs[index]!;
        if (own instanceof FusionError) {
          statistics.countFailure(ended - arrivedNanoseconds);
          entry.outcome.reject(own);
          continue;
        }
        statistics.countSuccess(entry.items, ended - arrivedNanoseconds, dispatched - arrivedNanoseconds, durations);
        entry.run!.backendSeconds = seconds * (entry.items / batchItems);
        entry.onRun?.(entry.run!.backendSeconds);
        entry.outcome.resolve(own);
      }
    } catch (error) {
      for (const entry of entries) {
        statistics.countFailure(process.hrtime.bigint() - entry.arrivedNanoseconds);
        entry.outcome.reject(toFusionError(error));
      }
    } finally {
      this.#running--;
      add('fusionframes.instances.busy', -1, this.#model);
      this.#noteDrained();
      this.#pump();
    }
  }

  #growIfAllowed(): void {
    if (this.#instances.size + this.#starting < this.#instanceLimit) {
      void this.#grow();
    }
  }

  async #grow(): Promise<void> {
    const { log, config, startInstance } = this.#options;
    this.#starting++;
    try {
      this.#adopt(await startInstance());
    } catch (error) {
      log.error({ model: config.name, err: error }, 'cannot start another instance');
      this.#instanceLimit = Math.max(1, this.#instances.size);
      if (this.#instances.size === 0) {
        this.#failAll(unavailable(`model '${config.name}' lost its instances: ${toFusionError(error).message}`));
      }
    } finally {
      this.#starting--;
      this.#noteDrained();
    }
    this.#pump();
  }

  #failAll(error: FusionError): void {
    for (const entry of [...this.#queue]) {
      this.#unqueue(entry);
      entry.outcome.reject(error);
    }
  }

  #adopt(instance: ModelInstance): void {
    this.#instances.add(instance);
    add('fusionframes.instances', 1, this.#model);
    instance.onEnd = () => {
      if (this.#instances.delete(instance)) {
        this.#instanceLimit = this.#options.maxInstances;
        add('fusionframes.instances', -1, this.#model);
        this.#options.log.error(
          { model: this.#options.config.name },
          'an instance ended, the next request replaces it',
        );
        this.#pump();
      }
    };
  }
}

function shapeKey({ inputs, batchSize }: ModelRequest): string {
  const itemShapes = [...inputs].map(([name, { shape }]) => `${name}:${batchSize > 0 ? shape.slice(1) : shape}`);
  return itemShapes.sort().join(';');
}
