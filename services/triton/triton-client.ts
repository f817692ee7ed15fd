import { Status } from 'nice-grpc-common';
import { FusionError, isAbortError, toFusionError } from '../kit/errors.ts';
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
  /** Bytes of requests under way at once, and bytes of shared memory; further requests wait. Default 256 MiB. */
  maxBytesInFlight?: number;
  /** Whether {@link TritonClient.infer} puts large tensors into shared memory where the server sees it. Default auto. */
  sharedMemory?: 'auto' | 'off';
}

export interface InferRequest {
  model: string;
  /** Every tensor has the batch axis in front, the same size in all. */
  inputs: Record<string, Tensor>;
  /** Where to add what the request takes of the backend. */
  backendTime?: BackendTime;
  signal: AbortSignal;
}

/**
 * Client of the KServe v2 protocol and its extensions as Triton speaks them over gRPC. Stages need {@link infer} alone;
 * everything else that the protocol has is in the groups of calls. All errors are FusionErrors with the server's code
 * and text, but for an aborted signal's AbortError.
 */
export class TritonClient {
  readonly address: string;
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

  constructor(options: TritonOptions) {
    const connection = new TritonConnection(options);
    const maxBytes = options.maxBytesInFlight ?? 256 << 20;
    this.#connection = connection;
    this.address = connection.address;
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
   * Runs a model (ModelInfer) and gives all its outputs by name; large tensors go through shared memory where the server
   * sees it. A request is tried again while the server is UNAVAILABLE, which does no harm: a model's outputs depend on
   * its inputs alone. Throws FAILED_PRECONDITION when the server has no such model or its tensors are others: the
   * repository is wrong, not the caller's request.
   */
  async infer({ model, inputs, backendTime, signal }: InferRequest): Promise<Record<string, Tensor>> {
    const start = performance.now();
    const measure = (outcome: string) =>
      record('fusionframes.inference.duration', (performance.now() - start) / 1000, {
        'fusionframes.model': model,
        'fusionframes.outcome': outcome,
      });
    const options = { signal, repeat: true, ...(backendTime && { backendTime }) };
    const request: PlainRequest = { model, inputs: mapValues(inputs, fromTensor) };
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

  /**
   * {@link infer} with a model that was compared with what is expected of it. Throws FAILED_PRECONDITION also when an
   * output is missing or of another type.
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

  /** Why {@link infer} does not use shared memory; undefined when it does. Looks once, by asking the server. */
  async whyNoSharedMemory(): Promise<string | undefined> {
    return await this.#regions.whyNot();
  }

  /** Ends the registration of shared memory, then the connection. */
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
