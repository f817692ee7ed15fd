import { Socket } from 'node:net';

/** Where the driver would connect to: a path, or hosts with a port each. */
export interface SocketAddress {
  host: readonly string[];
  port: readonly number[];
  /** Of a socket; false: hosts. */
  path: string | false;
}

let opened = 0;

/**
 * Gives the driver a socket on its way to the server. Between a socket's error and its close the driver would go on to send
 * statements: some of them then never end, and others get the answers of their neighbours. These sockets tell of their error
 * when they close, in one go. (Not so the driver's own sockets, which it lays around them for TLS.)
 */
export function openSocket({ host, port, path }: SocketAddress): Socket {
  const socket = new PromptSocket();
  if (path !== false) {
    return socket.connect(path);
  }
  // One after the other: a server that is down is passed over by the next attempt.
  const index = opened++ % host.length;
  // What the driver goes by when it checks the server's certificate.
  Object.assign(socket, { host: host[index], port: port[index] });
  return socket.connect(port[index]!, host[index]!);
}

class PromptSocket extends Socket {
  readonly #errors: unknown[] = [];

  override emit(event: string | symbol, ...values: unknown[]): boolean {
    if (event === 'error') {
      return this.#errors.push(values[0]) > 0;
    }
    if (event === 'close') {
      for (const error of this.#errors.splice(0)) {
        super.emit('error', error);
      }
    }
    return super.emit(event as 'close', ...(values as [boolean]));
  }
}
