import { setInterval } from 'node:timers';
import type { Sql } from 'postgres';
import type { Logger } from '../../services/kit/log.ts';
import { type Client, openClient } from './open-client.ts';
import { retryOnLoss } from './retry-on-loss.ts';

/** How often a quiet connection is probed, in milliseconds. */
const probeInterval = 5000;

/** How long a LISTEN or a probe may take, in seconds. */
const listenSeconds = 2;

interface Listener {
  channel: string;
  onNotify(payload: string): void;
  onListening(): void;
}

/**
 * Receives the database's notifications over a dedicated connection, which is reopened whenever it is lost. The
 * driver's own LISTEN does not notice a silent connection, and it queues statements during an outage.
 */
export class Notifications {
  readonly #client: Client;
  readonly #log: Logger;
  readonly #listeners = new Set<Listener>();
  readonly #closing = new AbortController();
  #renewing: Promise<void> | undefined;
  #probing: NodeJS.Timeout | undefined;

  constructor(url: URL, log: Logger) {
    this.#log = log;
    this.#client = openClient(url, {
      connections: 1,
      log,
      seconds: listenSeconds,
      onNotify: (channel, payload) => this.#notify(channel, payload),
      onClose: () => this.#renew(),
    });
  }

  /**
   * Calls `onNotify` for each notification on a channel, and `onListening` now and after every reconnect, because
   * notifications sent in between are lost. Resolves once it is listening, with a function that stops it; waits up to
   * `seconds` for an unreachable database.
   */
  async listen(channel: string, onNotify: Listener['onNotify'], onListening: () => void, seconds: number) {
    const listener = { channel, onNotify, onListening };
    this.#listeners.add(listener);
    this.#probing ??= setInterval(() => void this.#probe(), probeInterval).unref();
    await retryOnLoss(() => this.#subscribe([listener]), { seconds, signal: this.#closing.signal });
    return () => void this.#listeners.delete(listener);
  }

  async close(): Promise<void> {
    clearInterval(this.#probing);
    this.#closing.abort();
    await this.#renewing;
    await this.#client.close(0);
  }

  #notify(channel: string, payload: string): void {
    for (const listener of this.#listeners) {
      if (listener.channel === channel) {
        listener.onNotify(payload);
      }
    }
  }

  async #subscribe(listeners: Iterable<Listener>): Promise<void> {
    const { sql } = this.#client;
    await sql.unsafe(Array.from(listeners, ({ channel }) => `listen "${channel}"`).join('; '));
    for (const { onListening } of listeners) {
      onListening();
    }
  }

  #renew(): void {
    if (this.#closing.signal.aborted || this.#listeners.size === 0) {
      return;
    }
    const forever = { seconds: Number.POSITIVE_INFINITY, signal: this.#closing.signal };
    this.#renewing ??= retryOnLoss(() => this.#subscribe(this.#listeners), forever)
      .catch((error) => {
        if (!this.#closing.signal.aborted) {
          this.#log.error({ err: error }, 'the database no longer notifies this process');
        }
      })
      .finally(() => {
        this.#renewing = undefined;
      });
  }

  /** A statement that gets no answer closes the connection. */
  async #probe(): Promise<void> {
    await this.#client.sql`select 1`.catch(() => {});
  }
}

/** Replaces the client's `listen` with {@link Notifications}. */
export function listenThrough(sql: Sql, notifications: Notifications, seconds: number): Sql {
  const listen = async (channel: string, onNotify: (payload: string) => void, onListening = () => {}) => ({
    unlisten: await notifications.listen(channel, onNotify, onListening, seconds),
  });
  return Object.assign(sql, { listen: listen as unknown as Sql['listen'] });
}
