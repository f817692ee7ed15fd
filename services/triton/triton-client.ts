import { Status } from 'nice-grpc-common';
import { FusionError, isAbortError, toFusionError } from '../kit/errors.ts';
import { holdsOneMessage } from '../kit/messages/receive-in-place.ts';
import { keepSpare } from '../kit/spare-buffers.ts';
import type { BackendTime } from '../kit/telemetry/backend-time.ts';
import { record } from '../kit/telemetry/metrics.ts';
import { inSpan, outcomeOf } from '../kit/telemetry/spans.ts';
import type { NetworkInterface, TensorsOf } from '../pipeline/networks/network-interface.ts';
import type { Tensor } from '../pipeline/tensor.ts';
import { type ConnectionOptions, TritonConnection } from './calls/connection.ts';
import { ModelCalls } from './calls/model-calls.ts';
import { RepositoryCalls } from './calls/repository-calls.ts';
import { ServerCalls } from './calls/server-calls.ts';
import { SettingsCalls } from './calls/settings-calls.ts';
import { CudaSharedMemoryCalls, SystemSharedMemoryCalls } from './calls/shared-memory-calls.ts';
import type { ExpectedModel, ExpectedTensor } from './expected-model.ts';
import { InferenceCalls } from './inference/inference-calls.ts';
import { RegionPool } from './shared-memory/region-pool.ts';
import { type PlainRequest, SharedInference } from './shared-memory/shared-inference.ts';
import { fromTensor, toTensor } from './tensors/triton-tensor.ts';

export interface TritonOptions extends ConnectionOptions {
  /** Limit on bytes of requests in flight, and on bytes of shared memory; further requests wait. Default 256 MiB. */
  maxBytesInFlight?: number;
  /** Whether {@link TritonClient.infer} puts large tensors into shared memory where the server sees it. Default auto. */
  sharedMemory?: 'auto' | 'off';
  /** Version of the models that {@link TritonClient.infer} asks for. Default: the server chooses. */
  modelVersion?: string | undefined;
}

export interface InferRequest {
  model: string;
  /** The first axis of every tensor is the batch, of the same size in all. */
  inputs: Record<string, Tensor>;
  /** See `InferenceRequest.priority`. */
  priority?: number;
  /** Adds up the request's time on the backend. */
  backendTime?: BackendTime;
  signal: AbortSignal;
}

/**
 * Client of the KServe v2 protocol and Triton's extensions over gRPC. Stages only need {@link infer}; the groups of calls have
 * everything else. All errors are FusionErrors with the server's code and text, except the AbortError of an aborted signal.
 */
export class TritonClient {
  readonly address: string;
  readonly modelVersion: string | undefined;
  readonly server: ServerCalls;
  readonly models: ModelCalls;
  readonly inference: InferenceCalls;
  readonly repository: RepositoryCalls;
  readonly systemSharedMemory: SystemSharedMemoryCalls;
  readonly cudaSharedMemory: CudaSharedMemoryCalls;
  readonly settings: SettingsCalls;
  readonly #connection: TritonConnection;
  readonly #regions: RegionPool;
  readonly #shared: SharedInference;
  readonly #released = new WeakSet<object>();

  constructor(options: TritonOptions) {
    const connection = new TritonConnection(options);
    const maxBytes = options.maxBytesInFlight ?? 256 << 20;
    this.#connection = connection;
    this.address = connection.address;
    this.modelVersion = options.modelVersion;
    this.server = new ServerCalls(connection);
    this.models = new ModelCalls(connection);
    this.inference = new InferenceCalls(connection, maxBytes);
    this.repository = new RepositoryCalls(connection);
    this.systemSharedMemory = new SystemSharedMemoryCalls(connection);
    this.cudaSharedMemory = new CudaSharedMemoryCalls(connection);
    this.settings = new SettingsCalls(connection);
    this.#regions = new RegionPool(this.systemSharedMemory, {
      maxBytes,
      retireSeconds: connection.requestTimeoutSeconds,
    });
    this.#shared = new SharedInference(this.inference, this.#regions);
    if (options.sharedMemory === 'off') {
      this.#regions.disable('it is switched off');
    }
  }

  /**
   * Runs a model (ModelInfer) and returns all its outputs by name; large tensors go through shared memory where the server
   * can open it. A request is retried while the server is UNAVAILABLE, which is safe: outputs depend only on inputs. Throws
   * FAILED_PRECONDITION when the server lacks the model or its tensors differ: the repository is wrong, not the request.
   */
  async infer({ model, inputs, priority = 0, backendTime, signal }: InferRequest): Promise<Record<string, Tensor>> {
    const start = performance.now();
    const measure = (outcome: string) =>
      record('fusionframes.inference.duration', (performance.now() - start) / 1000, {
        'fusionframes.model': model,
        'fusionframes.outcome': outcome,
      });
    const options = { signal, repeat: true, ...(backendTime && { backendTime }) };
    const version = this.modelVersion;
    const request: PlainRequest = {
      model,
      ...(version !== undefined && { version }),
      inputs: mapValues(inputs, fromTensor),
      priority,
    };
    return await inSpan('fusionframes.inference', { 'fusionframes.model': model }, async () => {
      try {
        const outputs = mapValues(await this.#shared.run(request, options), toTensor);
        measure('succeeded');
        return outputs;
      } catch (thrown) {
        measure(outcomeOf(thrown));
        throw isAbortError(thrown) ? thrown : blameRepository(thrown);
      }
    });
  }

  /** Number of servers that the address stands for and that are connected; 1 if none is. */
  get servers(): number {
    return this.#connection.servers;
  }

  /**
   * {@link infer} with a model that {@link expectModel} has checked. Also throws FAILED_PRECONDITION when an output is missing
   * or has another type.
   */
  async inferExpected<Network extends NetworkInterface>(
    model: ExpectedModel<Network>,
    inputs: TensorsOf<Network['inputs']>,
    options: Omit<InferRequest, 'model' | 'inputs'>,
  ): Promise<TensorsOf<Network['outputs']>> {
    const outputs = await this.infer({ model: model.name, inputs, ...options });
    for (const [name, { dataType }] of Object.entries<ExpectedTensor>(model.outputs)) {
      const found = outputs[name]?.dataType ?? 'nothing';
      if (found !== dataType) {
        const message = `model ${model.name}: output ${name} must be ${dataType} (got ${found})`;
        throw new FusionError(Status.FAILED_PRECONDITION, message, { reason: 'MODEL_UNUSABLE' });
      }
    }
    return outputs as TensorsOf<Network['outputs']>;
  }

  /**
   * Takes back the memory of outputs, which must not be used any more, for those of later requests: fresh memory takes longer
   * than copying a tensor into it. Optional: otherwise it is freed with its arrays. Outputs that came in a message share its
   * memory, so none of that request may be in use.
   */
  release(outputs: Record<string, Tensor>): void {
    const buffers = new Set<ArrayBufferLike>();
    for (const { data } of Object.values(outputs)) {
      const { buffer } = data;
      const isAlone = data.byteLength === buffer.byteLength || holdsOneMessage(buffer);
      if (isAlone && !this.#released.has(data)) {
        // The buffer may already serve another request when the same outputs are released again.
        this.#released.add(data);
        buffers.add(buffer);
      }
    }
    (buffers as Set<ArrayBuffer>).forEach(keepSpare);
  }

  /** Why {@link infer} does not use shared memory; undefined when it does. Asks the server once. */
  async whyNoSharedMemory(): Promise<string | undefined> {
    return await this.#regions.whyNot();
  }

  /** Unregisters shared memory, then closes the connection. */
  async close(): Promise<void> {
    await this.#regions.close();
    this.#connection.close();
  }
}

function blameRepository(thrown: unknown): FusionError {
  const error = toFusionError(thrown);
  return error.code === Status.NOT_FOUND || error.code === Status.INVALID_ARGUMENT
    ? new FusionError(Status.FAILED_PRECONDITION, error.message, { reason: 'MODEL_UNUSABLE', cause: error })
    : error;
}

function mapValues<A, B>(record: Record<string, A>, map: (value: A) => B): Record<string, B> {
  return Object.fromEntries(Object.entries(record).map(([name, value]) => [name, map(value)]));
}
