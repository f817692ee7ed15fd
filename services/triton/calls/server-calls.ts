import type { ServerMetadataResponse } from '../../../proto/gen/grpc_service.ts';
import type { CallOptions, Send, TritonConnection } from './connection.ts';

/** Calls about the server as a whole. */
export class ServerCalls {
  readonly #connection: TritonConnection;

  constructor(connection: TritonConnection) {
    this.#connection = connection;
  }

  /** Whether the server runs (ServerLive). */
  async isLive(options: CallOptions = {}): Promise<boolean> {
    return (await this.#call(options, (client, call) => client.serverLive({}, call))).live;
  }

  /** Whether all its models are ready (ServerReady). */
  async isReady(options: CallOptions = {}): Promise<boolean> {
    return (await this.#call(options, (client, call) => client.serverReady({}, call))).ready;
  }

  /** Name, version and supported protocol extensions (ServerMetadata). */
  async metadata(options: CallOptions = {}): Promise<ServerMetadataResponse> {
    return await this.#call(options, (client, call) => client.serverMetadata({}, call));
  }

  #call<T>(options: CallOptions, send: Send<T>): Promise<T> {
    return this.#connection.call('server', options, send);
  }
}
