import { Status } from 'nice-grpc-common';
import type { ModelMetadataResponse, ModelStatistics } from '../../../proto/gen/grpc_service.ts';
import type { ModelConfig } from '../../../proto/gen/model_config.ts';
import { toFusionError } from '../../kit/errors.ts';
import type { CallOptions, Send, TritonConnection } from './connection.ts';

type Client = TritonConnection['client'];

export interface ModelCallOptions extends CallOptions {
  /** Default: the server chooses. */
  version?: string;
}

/** Calls about one model. They throw NOT_FOUND for a model that the server does not have. */
export class ModelCalls {
  readonly #connection: TritonConnection;

  constructor(connection: TritonConnection) {
    this.#connection = connection;
  }

  /** Whether a model is ready (ModelReady). Servers answer with an error instead of false; it counts as false. */
  async isReady(model: string, options: ModelCallOptions = {}): Promise<boolean> {
    try {
      return (await this.#call(model, options, (client, named, call) => client.modelReady(named, call))).ready;
    } catch (error) {
      const { code } = toFusionError(error);
      if (code === Status.NOT_FOUND || (code === Status.UNAVAILABLE && (await this.#answers(options)))) {
        return false;
      }
      throw error;
    }
  }

  /** A model's versions, inputs and outputs (ModelMetadata); with batching, −1 is the first dimension. */
  async metadata(model: string, options: ModelCallOptions = {}): Promise<ModelMetadataResponse> {
    return await this.#call(model, options, (client, named, call) => client.modelMetadata(named, call));
  }

  /** A model's configuration, completed by the server (ModelConfig). */
  async config(model: string, options: ModelCallOptions = {}): Promise<ModelConfig> {
    const { config } = await this.#call(model, options, (client, named, call) => client.modelConfig(named, call));
    return config as ModelConfig;
  }

  /** Counts and durations since the model was loaded, for each of its versions (ModelStatistics); '' for all models. */
  async statistics(model: string, options: ModelCallOptions = {}): Promise<ModelStatistics[]> {
    return (await this.#call(model, options, (client, named, call) => client.modelStatistics(named, call))).modelStats;
  }

  /** UNAVAILABLE stands for an unloaded version and for a missing server. */
  async #answers(options: CallOptions): Promise<boolean> {
    return await this.#connection.client.serverLive({}, this.#connection.clientOptions(options)).then(
      ({ live }) => live,
      () => false,
    );
  }

  #call<T>(
    name: string,
    options: ModelCallOptions,
    send: (client: Client, named: { name: string; version: string }, call: Parameters<Send<T>>[1]) => Promise<T>,
  ): Promise<T> {
    const named = { name, version: options.version ?? '' };
    return this.#connection.call(name ? `model ${name}` : 'models', options, (client, call) =>
      send(client, named, call),
    );
  }
}
