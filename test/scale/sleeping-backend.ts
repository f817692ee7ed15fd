import { setTimeout as sleep } from 'node:timers/promises';
import { stageServices } from '../../cli/stages.ts';
import type { DeepPartial, ModelInferRequest, ModelInferResponse } from '../../proto/gen/grpc_service.ts';
import { GRPCInferenceServiceDefinition } from '../../proto/gen/grpc_service.ts';
import { ModelInstanceGroup_Kind } from '../../proto/gen/model_config.ts';
import { createLogger } from '../../services/kit/log.ts';
import { serve, service } from '../../services/kit/serve.ts';
import { elementTypes } from '../../services/pipeline/element-types.ts';
import { modelNames, type Preset } from '../../services/pipeline/preset.ts';
import { byteSize, type DataType } from '../../services/pipeline/tensor.ts';
import type { ExpectedTensor } from '../../services/triton/expected-model.ts';

export interface SleepingBackendOptions {
  preset: Preset;
  /** Maximum number of items in a batch. */
  maxBatchSize: number;
  /** How long a batch takes, seconds. */
  secondsOf(model: string, items: number): number;
}

export interface SleepingBackend {
  address: string;
  /** Requests so far, by model. */
  requests(model: string): number;
  /** Work done for a model: busy seconds, batches, and items of all batches. */
  work(model: string): DeviceWork;
  stop(): Promise<void>;
}

export interface DeviceWork {
  seconds: number;
  batches: number;
  items: number;
}

const { serverLive, serverReady, modelReady, modelMetadata, modelConfig, modelStatistics, modelInfer } =
  GRPCInferenceServiceDefinition.methods;
/** The methods that stages call. */
const spokenPart = {
  ...GRPCInferenceServiceDefinition,
  methods: { serverLive, serverReady, modelReady, modelMetadata, modelConfig, modelStatistics, modelInfer },
};

interface Waiting {
  items: number;
  answer(): void;
}

/**
 * Speaks Triton's protocol like a device that runs one batch at a time: it sleeps for the given duration of a batch and
 * answers zeros. Shows how the mesh uses its backends without real ones.
 */
export async function startSleepingBackend(options: SleepingBackendOptions): Promise<SleepingBackend> {
  const models = new Map(
    Object.values(stageServices)
      .flatMap((stage) => stage.expectedModels(options.preset))
      .map((model) => [model.name, model]),
  );
  const devices = new Map([...models.keys()].map((name) => [name, new Device(name, options)]));
  const counts = new Map<string, number>();
  const server = await serve({
    address: '127.0.0.1:0',
    log: createLogger('backend', 'silent'),
    maxConcurrentCalls: Number.POSITIVE_INFINITY,
    maxMessageBytes: 1 << 30,
    services: [
      service(spokenPart, {
        serverLive: async () => ({ live: true }),
        serverReady: async () => ({ ready: true }),
        modelReady: async () => ({ ready: true }),
        async modelMetadata({ name }: { name: string }) {
          const { inputs, outputs } = models.get(name)!;
          return { name, versions: ['1'], platform: 'sleep', inputs: described(inputs), outputs: described(outputs) };
        },
        modelConfig: async ({ name }: { name: string }) => ({
          config: {
            name,
            maxBatchSize: options.maxBatchSize,
            schedulingChoice: { $case: 'dynamicBatching' as const, value: {} },
            instanceGroup: [{ count: 1, kind: ModelInstanceGroup_Kind.KIND_GPU }],
          },
        }),
        modelStatistics: async ({ name }: { name: string }) => ({ modelStats: [devices.get(name)!.statistics()] }),
        async modelInfer(request: ModelInferRequest): Promise<DeepPartial<ModelInferResponse>> {
          const { modelName, inputs } = request;
          counts.set(modelName, (counts.get(modelName) ?? 0) + 1);
          await devices.get(modelName)!.run(Number(inputs[0]!.shape[0]));
          const { outputs } = models.get(modelName)!;
          const answers = Object.entries(outputs).map(([name, { dataType, shape: expected }]) => {
            const shape = outputShape(modelName, request, expected);
            return {
              name,
              dataType,
              shape,
              data: Buffer.alloc(byteSize(dataType, shape), dataType === 'bool' ? 1 : 0),
            };
          });
          return {
            modelName,
            modelVersion: '1',
            outputs: answers.map(({ name, dataType, shape }) => ({
              name,
              datatype: elementTypes[dataType].triton,
              shape: shape.map(BigInt),
            })),
            rawOutputContents: answers.map(({ data }) => data),
          };
        },
      }),
    ],
  });
  return {
    address: server.address,
    requests: (model) => counts.get(model) ?? 0,
    work: (model) => devices.get(model)!.work(),
    stop: () => server.stop(),
  };
}

/** One model on one device: batches of waiting requests, one after the other. */
class Device {
  readonly #name: string;
  readonly #options: SleepingBackendOptions;
  readonly #waiting: Waiting[] = [];
  readonly #batches = new Map<number, { count: number; seconds: number }>();
  #isBusy = false;

  constructor(name: string, options: SleepingBackendOptions) {
    this.#name = name;
    this.#options = options;
  }

  run(items: number): Promise<void> {
    return new Promise((answer) => {
      this.#waiting.push({ items, answer });
      void this.#work();
    });
  }

  statistics() {
    const batchStats = [...this.#batches].map(([items, { count, seconds }]) => ({
      batchSize: BigInt(items),
      computeInfer: { count: BigInt(count), ns: BigInt(Math.round(seconds * 1e9)) },
    }));
    return { name: this.#name, version: '1', batchStats };
  }

  work(): DeviceWork {
    const all = [...this.#batches];
    const sum = (of: (batch: (typeof all)[number]) => number) => all.reduce((total, batch) => total + of(batch), 0);
    return {
      seconds: sum(([, { seconds }]) => seconds),
      batches: sum(([, { count }]) => count),
      items: sum(([items, { count }]) => items * count),
    };
  }

  async #work(): Promise<void> {
    if (this.#isBusy) {
      return;
    }
    this.#isBusy = true;
    while (this.#waiting.length > 0) {
      const batch = [this.#waiting.shift()!];
      let items = batch[0]!.items;
      while (this.#waiting.length > 0 && items + this.#waiting[0]!.items <= this.#options.maxBatchSize) {
        const next = this.#waiting.shift()!;
        items += next.items;
        batch.push(next);
      }
      const start = performance.now();
      await sleep(this.#options.secondsOf(this.#name, items) * 1000);
      const seconds = (performance.now() - start) / 1000;
      const known = this.#batches.get(items) ?? { count: 0, seconds: 0 };
      this.#batches.set(items, { count: known.count + 1, seconds: known.seconds + seconds });
      for (const { answer } of batch) {
        answer();
      }
    }
    this.#isBusy = false;
  }
}

function described(tensors: Record<string, ExpectedTensor>) {
  return Object.entries(tensors).map(([name, { dataType, shape }]) => ({
    name,
    datatype: elementTypes[dataType as DataType].triton,
    shape: shape.map(BigInt),
  }));
}

/** Free dimensions are those of the first input, except that pictures are eight times as large as latents. */
function outputShape(model: string, { inputs }: ModelInferRequest, expected: readonly number[]): number[] {
  const given = inputs[0]!.shape.map(Number);
  if (model === modelNames.decoder && expected.length > 2) {
    const [height, width] = given.slice(-2) as [number, number];
    return [...given.slice(0, -3), 8 * height, 8 * width, 3];
  }
  return expected.map((dimension, axis) => (dimension === -1 ? given[axis]! : dimension));
}
