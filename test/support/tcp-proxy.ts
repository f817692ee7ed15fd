import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Socket, type TcpNetConnectOpts } from 'node:net';

/** Target of a proxy: a port, or a socket's path. */
export type ProxyTarget = TcpNetConnectOpts | { path: string };

/** How a connection treats bytes, in both directions. */
interface Conduct {
  /** Swallows them, and ends of stream too: the connection stays open forever. */
  isSilent: boolean;
  /** Delays each chunk by this much. */
  delayMilliseconds: number;
  /** Bytes from the server that still pass before silence. */
  bytesLeft: number;
}

/** A TCP proxy that disturbs connections as networks do, for tests. */
export class TcpProxy {
  readonly #server = createServer({ allowHalfOpen: true }, (client) => this.#onConnection(client));
  #port = 0;
  readonly #target: ProxyTarget;
  readonly #connections = new Set<ProxiedConnection>();
  #conduct: Conduct = { isSilent: false, delayMilliseconds: 0, bytesLeft: Number.POSITIVE_INFINITY };

  private constructor(target: ProxyTarget) {
    this.#target = target;
  }

  /** Listens on this machine, on a free port unless one is given. */
  static async start(target: ProxyTarget, port = 0): Promise<TcpProxy> {
    const proxy = new TcpProxy(target);
    proxy.#port = port;
    await proxy.open();
    return proxy;
  }

  get port(): number {
    return this.#port;
  }

  /** Connections that are open now. */
  get size(): number {
    return this.#connections.size;
  }

  /** Stops disturbing new connections; those already disturbed stay so. */
  pass(): void {
    this.#conduct = { isSilent: false, delayMilliseconds: 0, bytesLeft: Number.POSITIVE_INFINITY };
  }

  /** Silences every open connection, as if the network had dropped it. */
  silenceOpen(): void {
    for (const connection of this.#connections) {
      connection.conduct.isSilent = true;
    }
  }

  /** Silences open and new connections. */
  silence(): void {
    this.#conduct = { ...this.#conduct, isSilent: true };
    this.silenceOpen();
  }

  /** New connections go silent after this many bytes from the server. */
  silenceAfter(bytes: number): void {
    this.#conduct = { ...this.#conduct, bytesLeft: bytes };
  }

  /** Delays everything on open and new connections. */
  delay(milliseconds: number): void {
    this.#conduct = { ...this.#conduct, delayMilliseconds: milliseconds };
    for (const { conduct } of this.#connections) {
      conduct.delayMilliseconds = milliseconds;
    }
  }

  /** Resets every open connection. */
  reset(): void {
    for (const { client, server } of this.#connections) {
      client.resetAndDestroy();
      server.destroy();
    }
  }

  /** Ends the server's side of every open connection towards the client, which may still send. */
  halfClose(): void {
    for (const { client } of this.#connections) {
      client.end();
    }
  }

  /** Accepts connections again after {@link close}, on the same port. */
  async open(): Promise<void> {
    await once(this.#server.listen(this.#port, '127.0.0.1'), 'listening');
    this.#port = (this.#server.address() as AddressInfo).port;
  }

  /** Ends every connection and accepts no more. */
  async close(): Promise<void> {
    this.#server.close();
    for (const { client, server } of this.#connections) {
      client.destroy();
      server.destroy();
    }
    await once(this.#server, 'close');
  }

  #onConnection(client: Socket): void {
    const connection = {
      client,
      server: connect({ allowHalfOpen: true, ...this.#target }),
      conduct: { ...this.#conduct },
    };
    this.#connections.add(connection);
    link(connection, () => this.#connections.delete(connection));
  }
}

interface ProxiedConnection {
  client: Socket;
  server: Socket;
  conduct: Conduct;
}

function link({ client, server, conduct }: ProxiedConnection, onClose: () => void): void {
  const later = (act: () => void) =>
    conduct.delayMilliseconds > 0 ? setTimeout(act, conduct.delayMilliseconds) : act();
  const pipe = (from: Socket, to: Socket, isAnswer: boolean) => {
    from.on('data', (bytes: Buffer) => {
      if (conduct.isSilent) {
        return;
      }
      const passed = isAnswer ? bytes.subarray(0, conduct.bytesLeft) : bytes;
      if (isAnswer) {
        conduct.bytesLeft -= passed.length;
        conduct.isSilent = conduct.bytesLeft === 0;
      }
      later(() => {
        if (!to.destroyed && !to.writableEnded && !to.write(passed)) {
          from.pause();
          to.once('drain', () => from.resume());
        }
      });
    });
    from.on('end', () => {
      if (!conduct.isSilent) {
        later(() => to.end());
      } else if (from === client) {
        client.destroy();
      }
    });
    from.on('error', () => {});
    from.on('close', () => {
      if (!conduct.isSilent || from === client) {
        later(() => to.destroySoon());
      }
      if (client.destroyed) {
        onClose();
      }
    });
  };
  pipe(client, server, false);
  pipe(server, client, true);
}
