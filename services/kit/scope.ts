import { abortable } from './abortable.ts';

/** Something that can be closed. */
export type Closable = { stop(): unknown } | { close(): unknown };

/**
 * Holds opened resources and closes them one by one in reverse order. Safe to close twice.
 *
 * @example
 * const scope = new Scope(signal);
 * const server = await scope.open((signal) => startServer({ signal }));
 * scope.defer(() => rm(folder, { recursive: true }));
 * await scope.close();
 */
export class Scope {
  /** Aborts when the scope closes or its parent aborts. */
  readonly signal: AbortSignal;
  readonly #closing = new AbortController();
  readonly #closes: (() => unknown)[] = [];
  #closed: Promise<void> | undefined;

  /** @param parent aborts whatever is still opening; what is open stays open until {@link close} */
  constructor(parent?: AbortSignal) {
    this.signal = parent ? AbortSignal.any([parent, this.#closing.signal]) : this.#closing.signal;
  }

  /** Calls `close` when the scope closes. */
  defer(close: () => unknown): void {
    this.#closes.push(close);
  }

  /** Holds something that is already open. */
  add<T extends Closable>(held: T): T {
    this.defer(() => end(held));
    return held;
  }

  /**
   * Opens something and holds it. Throws what `open` throws, and an AbortError as soon as the scope closes or its parent
   * aborts; if it still opens, it is closed with the rest.
   */
  open<T extends Closable>(open: (signal: AbortSignal) => Promise<T>): Promise<T> {
    const opened = this.#open(open);
    // A caller that opens several at once awaits only the first to fail.
    opened.catch(() => {});
    return opened;
  }

  async #open<T extends Closable>(open: (signal: AbortSignal) => Promise<T>): Promise<T> {
    this.signal.throwIfAborted();
    const opening = open(this.signal);
    this.defer(() => opening.then(end, () => {}));
    return abortable(this.signal, opening);
  }

  /** Closes everything, even if some of it fails. Throws the first error. */
  close(): Promise<void> {
    return (this.#closed ??= this.#close());
  }

  async #close(): Promise<void> {
    this.#closing.abort();
    const failures: unknown[] = [];
    for (let close = this.#closes.pop(); close; close = this.#closes.pop()) {
      try {
        await close();
      } catch (error) {
        failures.push(error);
      }
    }
    if (failures.length > 0) {
      throw failures[0];
    }
  }
}

/** Returns what `use` opens in a new scope, which is closed when `use` throws. */
export async function openScope<T>(signal: AbortSignal | undefined, use: (scope: Scope) => Promise<T>): Promise<T> {
  const scope = new Scope(signal);
  try {
    return await use(scope);
  } catch (error) {
    await scope.close().catch(() => {});
    throw error;
  }
}

function end(held: Closable): unknown {
  return 'stop' in held ? held.stop() : held.close();
}
