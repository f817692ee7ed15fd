import type { Socket } from 'node:net';
import postgres, { type Sql } from 'postgres';
import type { Logger } from '../../services/kit/log.ts';
import { type Encryption, encryptionParameters, readEncryption } from './encryption.ts';
import { failedSocket, openSocket, type SocketAddress } from './open-socket.ts';
import { StatementClock } from './statement-clock.ts';
import { textArray } from './text-array.ts';

export interface ClientOptions {
  /** Connections at once. */
  connections: number;
  log: Logger;
  /** How long a statement may take, seconds. Default: {@link statementSeconds}. */
  seconds?: number;
  onNotify?(channel: string, payload: string): void;
  /** Called when a connection has closed, or could not be made. */
  onClose?(): void;
}

export interface Client {
  sql: Sql;
  /** Gives statements under way so many seconds to end (default 5), then closes every connection. */
  close(graceSeconds?: number): Promise<void>;
}

/** How long a statement may take before the server ends it, seconds. This project's take milliseconds. */
const statementSeconds = 8;

/**
 * How much longer it may stay unanswered, seconds. Then its connection is closed: a hung pooler, or a network that forgot
 * the flow, would never report it.
 */
const silenceSeconds = 2;

/** When a statement has waited this long, idle connections that have been silent since are closed too, seconds. */
const suspicionSeconds = 2.5;

/** How long a connection may take to be made, seconds. */
const connectSeconds = 5;

/** How long the server lets a transaction stand idle, seconds: the locks of a paused process must not hold up others. */
const idleTransactionSeconds = 5;

/** TCP keepalive of idle connections, seconds; some networks forget flows that are silent for a minute. */
const keepAliveSeconds = 10;

/** Connections to a PostgreSQL server. A statement on them is answered or fails, also when the server falls silent. */
export function openClient(url: URL, options: ClientOptions): Client {
  const { connections, log, seconds = statementSeconds, onNotify, onClose } = options;
  const sockets = new Sockets(readEncryption(url), seconds + silenceSeconds);
  // libpq's form for a socket's folder, which the driver takes as an option only.
  const host = url.searchParams.get('host') ?? undefined;
  const user = url.searchParams.get('user') ?? undefined;
  const port = url.searchParams.get('port') ?? undefined;
  const rest = new URL(url);
  for (const name of ['host', 'user', 'port', ...encryptionParameters]) {
    rest.searchParams.delete(name);
  }
  const driverOptions = {
    ...(host && { host }),
    ...(user && { user }),
    ...(port && { port: Number(port) }),
    max: connections,
    connect_timeout: connectSeconds,
    keep_alive: keepAliveSeconds,
    // The driver's own grows to 20 s, during which every statement waits.
    backoff: (retries: number) => Math.min(1, 0.05 * 2 ** retries),
    connection: {
      application_name: 'fusionframes',
      statement_timeout: seconds * 1000,
      idle_in_transaction_session_timeout: idleTransactionSeconds * 1000,
      TimeZone: 'UTC',
    },
    // Counts and identities stay far below 2⁵³.
    types: { int8: { to: 20, from: [20], parse: Number, serialize: String }, textArray },
    fetch_types: false,
    onnotice: ({ message }: postgres.Notice) => log.debug({ notice: message }, 'notice from PostgreSQL'),
    ...(onClose && { onclose: onClose }),
    // The driver's types leave these out.
    ...(onNotify && { onnotify: onNotify }),
    ssl: false,
    socket: (address: SocketAddress) => sockets.open(address),
  };
  const sql = postgres(rest.href, driverOptions) as unknown as Sql;
  return {
    sql,
    async close(graceSeconds = 5) {
      await sql.end({ timeout: graceSeconds });
      sockets.close();
    },
  };
}

interface Connection {
  socket: Socket;
  clock: StatementClock;
  /** When the server was last heard of, as `performance.now()`. */
  heardAt: number;
}

/** The open connections of one client. */
class Sockets {
  readonly #encryption: Encryption | undefined;
  readonly #seconds: number;
  readonly #open = new Set<Connection>();
  #isClosed = false;

  constructor(encryption: Encryption | undefined, seconds: number) {
    this.#encryption = encryption;
    this.#seconds = seconds;
  }

  open(address: SocketAddress): Socket | Promise<Socket> {
    const socket = openSocket(address, this.#encryption, connectSeconds);
    return socket instanceof Promise ? socket.then((each) => this.#watch(each)) : this.#watch(socket);
  }

  close(): void {
    this.#isClosed = true;
    for (const { socket } of this.#open) {
      socket.destroy();
    }
  }

  #watch(socket: Socket): Socket {
    if (this.#isClosed) {
      socket.destroy();
      return failedSocket(new Error('The client is closed'));
    }
    const clock = new StatementClock([
      { milliseconds: suspicionSeconds * 1000, onReached: () => this.#endIdleSince(clock.waitingSince!) },
      { milliseconds: this.#seconds * 1000, onReached: () => this.#end(socket) },
    ]);
    const connection: Connection = { socket, clock, heardAt: performance.now() };
    this.#open.add(connection);
    followMessages(connection, () => this.#open.delete(connection));
    return socket;
  }

  /** Closes connections that wait for nothing and that nothing has been heard on since. */
  #endIdleSince(since: number): void {
    for (const { socket, clock, heardAt } of this.#open) {
      if (clock.waitingSince === undefined && heardAt < since) {
        socket.destroy();
      }
    }
  }

  #end(socket: Socket): void {
    const message = `no answer within ${this.#seconds} s`;
    socket.destroy(Object.assign(new Error(message), { code: 'ETIMEDOUT' }));
  }
}

/**
 * Tracks traffic and reports socket errors on close: between the two events the driver would go on sending statements, some
 * of which then never end while others get the answers of their neighbours.
 */
function followMessages(connection: Connection, onClose: () => void): void {
  const { socket, clock } = connection;
  const emit = socket.emit.bind(socket) as (event: string | symbol, ...values: unknown[]) => boolean;
  const write = socket.write.bind(socket) as (bytes: Uint8Array, written?: () => void) => boolean;
  const end = socket.end.bind(socket) as (bytes: Uint8Array) => Socket;
  const errors: unknown[] = [];
  Object.assign(socket, {
    emit(event: string | symbol, ...values: unknown[]) {
      if (event === 'error') {
        return errors.push(values[0]) > 0;
      }
      if (event === 'data') {
        connection.heardAt = performance.now();
        clock.received(values[0] as Uint8Array);
      } else if (event === 'close') {
        clock.stop();
        onClose();
        for (const error of errors.splice(0)) {
          emit('error', error);
        }
      }
      return emit(event, ...values);
    },
    write(bytes: Uint8Array, written?: () => void) {
      clock.sent(bytes);
      return write(bytes, written);
    },
    end(bytes: Uint8Array) {
      // The driver counts on the server to close what it has ended.
      setTimeout(() => socket.destroy(), connectSeconds * 1000).unref();
      return end(bytes);
    },
  });
}
