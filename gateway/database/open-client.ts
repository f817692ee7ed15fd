import type { Socket } from 'node:net';
import postgres, { type Sql } from 'postgres';
import type { Logger } from '../../services/kit/log.ts';
import { type Encryption, encryptionParameters, readEncryption } from './encryption.ts';
import { failedSocket, openSocket, type SocketAddress } from './open-socket.ts';
import { StatementClock } from './statement-clock.ts';
import { textArray } from './text-array.ts';

export interface ClientOptions {
  /** Maximum number of connections. */
  connections: number;
  log: Logger;
  /** How long a statement may take, in seconds. Default: {@link statementSeconds}. */
  seconds?: number;
  onNotify?(channel: string, payload: string): void;
  /** Called when a connection has closed or could not be opened. */
  onClose?(): void;
}

export interface Client {
  sql: Sql;
  /** Gives running statements a number of seconds to finish (default 2), then closes every connection. */
  close(graceSeconds?: number): Promise<void>;
}

/** How long a statement may take before the server cancels it, in seconds. Ours take milliseconds. */
const statementSeconds = 8;

/**
 * How much longer a statement may go unanswered, in seconds. Then its connection is closed: a hung pooler, or a network
 * that dropped the flow, would never report it.
 */
const silenceSeconds = 2;

/** When a statement has waited this many seconds, idle connections that were silent all along are closed too. */
const suspicionSeconds = 2.5;

/** How long opening a connection may take, in seconds. */
const connectSeconds = 5;

/** How long the server tolerates an idle transaction, in seconds: a paused process must not hold its locks. */
const idleTransactionSeconds = 5;

/** How long the server may take to close connections, in seconds. */
const closeSeconds = 0.5;

/** TCP keepalive interval of idle connections, in seconds; some networks drop flows that are silent for a minute. */
const keepAliveSeconds = 10;

/** Connections to a PostgreSQL server. Every statement gets an answer or fails, even when the server goes silent. */
export function openClient(url: URL, options: ClientOptions): Client {
  const { connections, log, seconds = statementSeconds, onNotify, onClose } = options;
  const sockets = new Sockets(readEncryption(url), seconds + silenceSeconds);
  // libpq's notation for a socket folder, which the driver accepts only as an option.
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
    // The driver's own backoff grows to 20 s, and every statement waits meanwhile.
    backoff: (retries: number) => Math.min(1, 0.05 * 2 ** retries),
    connection: {
      application_name: 'fusionframes',
      statement_timeout: seconds * 1000,
      idle_in_transaction_session_timeout: idleTransactionSeconds * 1000,
      TimeZone: 'UTC',
      // Where tables have no statistics yet, the server compiles statements for seconds that then run for milliseconds.
      jit: 'off',
    },
    // Counts and identities stay far below 2⁵³.
    types: { int8: { to: 20, from: [20], parse: Number, serialize: String }, textArray },
    fetch_types: false,
    onnotice: ({ message }: postgres.Notice) => log.debug({ notice: message }, 'notice from PostgreSQL'),
    ...(onClose && { onclose: onClose }),
    // Missing from the driver's types.
    ...(onNotify && { onnotify: onNotify }),
    ssl: false,
    socket: (address: SocketAddress) => sockets.open(address),
  };
  const sql = postgres(rest.href, driverOptions) as unknown as Sql;
  return {
    sql,
    async close(graceSeconds = 2) {
      // The driver waits for the server to close connections, which a silent one does not.
      const forced = setTimeout(() => sockets.close(), (graceSeconds + closeSeconds) * 1000);
      await sql.end({ timeout: graceSeconds });
      clearTimeout(forced);
      sockets.close();
    },
  };
}

interface Connection {
  socket: Socket;
  clock: StatementClock;
  /** When the server last sent anything, as `performance.now()`. */
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

  /** Closes idle connections on which nothing has arrived since. */
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
 * Tracks traffic and reports a socket error only on close: between the two events the driver would keep sending
 * statements, some of which never finish while others receive their neighbours' answers.
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
      // The driver relies on the server to close a connection that it ended.
      setTimeout(() => socket.destroy(), connectSeconds * 1000).unref();
      return end(bytes);
    },
  });
}
