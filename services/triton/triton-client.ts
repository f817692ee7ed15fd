import { Status } from 'nice-grpc-common';
import {
  GRPCInferenceServiceDefinition,
  type ModelInferRequest,
  type ModelInferResponse,
  type ModelMetadataResponse,
} from '../../proto/gen/grpc_service.ts';
import type { ModelConfig } from '../../proto/gen/model_config.ts';
import { type ConnectedClient, type Connection, connect, repeatable } from '../kit/channel.ts';
import { FusionError, isAbortError, toFusionError } from '../kit/errors.ts';
import { byteSize, type DataType, type Tensor, tensorBytes, tensorFromBytes } from '../kit/tensor.ts';
import { ByteBudget } from './byte-budget.ts';
import { dataTypeOf, tritonTypes } from './datatypes.ts';

export interface TritonOptions {
  /** Where Triton's gRPC protocol is spoken: NVIDIA's server or the embedded one. */
  address: string;
  /** Longest that one request may take, waiting in the server's queue included, seconds. Default 300. */
  requestTimeoutSeconds?: number;
  /** Bytes of requests under way at once; further ones wait. Default 256 MiB. */
  maxBytesInFlight?: number;
  /** Largest message taken or sent, bytes. Default 1 GiB. */
  maxMessageBytes?: number;
}

export interface InferRequest {
  model: string;
  /** Every tensor has the batch axis in front, the same size in all. */
  inputs: Record<string, Tensor>;
  signal: AbortSignal;
}

/** Client of the KServe v2 protocol as Triton speaks it over gRPC. */
export class TritonClient {
  readonly address: string;
  readonly #connection: Connection<GRPCInferenceServiceDefinition>;
  readonly #client: ConnectedClient<GRPCInferenceServiceDefinition>;
  readonly #budget: ByteBudget;

  constructor(options: TritonOptions) {
    this.address = options.address;
    this.#connection = connect(GRPCInferenceServiceDefinition, options.address, {
      maxMessageBytes: options.maxMessageBytes ?? 1 << 30,
      callTimeoutSeconds: options.requestTimeoutSeconds ?? 300,
    });
    this.#client = this.#connection.client;
    this.#budget = new ByteBudget(options.maxBytesInFlight ?? 256 << 20);
  }

  /**
   * Runs a model (ModelInfer) and gives all its outputs by name. A request is tried again while the server is
   * UNAVAILABLE, which does no harm: a model's outputs depend on its inputs alone. Throws FAILED_PRECONDITION when the
   * server has no such model or its tensors are others: the repository is wrong, not the caller's request.
   */
  async infer(request: InferRequest): Promise<Record<string, Tensor>> {
    const { signal } = request;
    const message = inferMessage(request);
    const bytes = message.rawInputContents.reduce((sum, content) => sum + content.length, 0);
    const release = await this.#budget.take(bytes, signal);
    try {
      return readOutputs(await this.#client.modelInfer(message, { signal, ...repeatable }));
    } catch (error) {
      throw isAbortError(error) ? error : this.#explain(request.model, error);
    } finally {
      release();
    }
  }

  /** Inputs and outputs of a model as the server has it (ModelMetadata). Throws FAILED_PRECONDITION when it has none. */
  async modelMetadata(model: string, signal: AbortSignal): Promise<ModelMetadataResponse> {
    try {
      return await this.#client.modelMetadata({ name: model }, { signal });
    } catch (error) {
      throw isAbortError(error) ? error : this.#explain(model, error);
    }
  }

  /** A model's configuration with what the server filled in (ModelConfig). */
  async modelConfig(model: string, signal: AbortSignal): Promise<ModelConfig> {
    try {
      const { config } = await this.#client.modelConfig({ name: model }, { signal });
      return config as ModelConfig;
    } catch (error) {
      throw isAbortError(error) ? error : this.#explain(model, error);
    }
  }

  close(): void {
    this.#connection.close();
  }

  #explain(model: string, thrown: unknown): FusionError {
    const error = toFusionError(thrown);
    const isRepositoryFault = error.code === Status.NOT_FOUND || error.code === Status.INVALID_ARGUMENT;
    return new FusionError(
      isRepositoryFault ? Status.FAILED_PRECONDITION : error.code,
      `model ${model} on ${this.address}: ${error.message}`,
      { reason: isRepositoryFault ? 'MODEL_UNUSABLE' : error.reason, cause: error },
    );
  }
}

function inferMessage({ model, inputs }: InferRequest) {
  const named = Object.entries(inputs);
  return {
    modelName: model,
    inputs: named.map(([name, { dataType, shape }]) => ({
      name,
      datatype: tritonTypes[dataType],
      shape: shape.map(BigInt),
    })),
    rawInputContents: named.map(([, value]) => tensorBytes(value)),
  } satisfies Partial<Omit<ModelInferRequest, 'inputs'>> & { inputs: object[] };
}

function readOutputs(response: ModelInferResponse): Record<string, Tensor> {
  return Object.fromEntries(
    response.outputs.map((output, index) => {
      const dataType: DataType = dataTypeOf(output.datatype);
      const shape = output.shape.map(Number);
      const content = response.rawOutputContents[index];
      if (content?.length !== byteSize(dataType, shape)) {
        throw new FusionError(
          Status.INTERNAL,
          `output ${output.name}: ${content?.length ?? 0} bytes for ${output.datatype} [${shape}]`,
        );
      }
      return [output.name, tensorFromBytes(dataType, shape, content)];
    }),
  );
}
