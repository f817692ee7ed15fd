import type { Http2Server, ServerHttp2Session } from 'node:http2';
import { Server } from '@grpc/grpc-js';

/** The parts of a grpc-js server used here; private in its types. */
interface ServerWithWindows {
  options: Record<string, unknown>;
  commonServerOptions: { settings?: object };
  createHttp2Server(credentials: unknown): Http2Server;
}

/**
 * The option of a channel for the bytes that may be under way to it without its consent, on a connection and in a call. The
 * default of HTTP/2, 64 KiB, makes large messages wait for the network's round trips.
 */
export const windowOption = 'grpc-node.flow_control_window';

/** Makes grpc-js servers honour {@link windowOption}, as its channels do. Call before creating a server. */
export function honourServerWindows(): void {
  const prototype = Server.prototype as unknown as ServerWithWindows;
  const { createHttp2Server } = prototype;
  prototype.createHttp2Server = function (credentials) {
    const bytes = this.options[windowOption] as number | undefined;
    if (bytes === undefined) {
      return createHttp2Server.call(this, credentials);
    }
    const { settings } = this.commonServerOptions;
    this.commonServerOptions.settings = { ...settings, initialWindowSize: bytes };
    const server = createHttp2Server.call(this, credentials);
    return server.on('session', (session: ServerHttp2Session) => session.setLocalWindowSize(bytes));
  };
}
