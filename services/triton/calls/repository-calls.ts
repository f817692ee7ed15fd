import type {
  RepositoryIndexResponse_ModelIndex as ModelIndex,
  ModelRepositoryParameter,
} from '../../../proto/gen/grpc_service.ts';
import type { CallOptions, TritonConnection } from './connection.ts';

export interface LoadOptions extends CallOptions {
  /** Replaces the repository's `config.pbtxt`: JSON with the names of model_config.proto. */
  config?: string | Record<string, unknown>;
  /** Replaces files of the repository, by their path in the model's folder; Triton requires {@link config} with them. */
  files?: Record<string, Uint8Array>;
}

/** Calls about the model repository. Loading and unloading need a server with explicit model control. */
export class RepositoryCalls {
  readonly #connection: TritonConnection;

  constructor(connection: TritonConnection) {
    this.#connection = connection;
  }

  /** Every model of the repository with its state, or only those that are ready (RepositoryIndex). */
  async index(options: CallOptions & { ready?: boolean } = {}): Promise<ModelIndex[]> {
    const request = { ready: options.ready ?? false };
    const answer = await this.#connection.call('repository', options, (client, call) =>
      client.repositoryIndex(request, call),
    );
    return answer.models;
  }

  /**
   * Loads or reloads a model (RepositoryModelLoad) and resolves when it is ready. Throws INVALID_ARGUMENT when it cannot be
   * loaded; a version that was loaded before keeps serving.
   */
  async load(model: string, options: LoadOptions = {}): Promise<void> {
    const { config, files = {} } = options;
    const parameters: Record<string, ModelRepositoryParameter> = {};
    if (config !== undefined) {
      const value = typeof config === 'string' ? config : JSON.stringify(config);
      parameters.config = { parameterChoice: { $case: 'stringParam', value } };
    }
    for (const [path, value] of Object.entries(files)) {
      parameters[`file:${path}`] = { parameterChoice: { $case: 'bytesParam', value } };
    }
    await this.#connection.call(`model ${model}`, options, (client, call) =>
      client.repositoryModelLoad({ modelName: model, parameters }, call),
    );
  }

  /** Unloads a model, with `dependents` also an ensemble's members (RepositoryModelUnload). Resolves before it is unloaded. */
  async unload(model: string, options: CallOptions & { dependents?: boolean } = {}): Promise<void> {
    const value = options.dependents ?? false;
    const parameters = { unload_dependents: { parameterChoice: { $case: 'boolParam' as const, value } } };
    await this.#connection.call(`model ${model}`, options, (client, call) =>
      client.repositoryModelUnload({ modelName: model, parameters }, call),
    );
  }
}
