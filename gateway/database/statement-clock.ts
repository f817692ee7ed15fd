/** Message types of PostgreSQL's protocol ("Message Formats" in its documentation). */
const messageType = { query: 0x51, sync: 0x53, terminate: 0x58, password: 0x70, readyForQuery: 0x5a } as const;

/** A message's type and length. */
const headerBytes = 5;

/** A callback for a statement that has waited this long. */
export interface WaitLimit {
  milliseconds: number;
  onReached(): void;
}

/**
 * Measures how long each statement on a connection has been waiting for its answer by watching the messages in both
 * directions. Opening the connection counts as its first statement.
 */
export class StatementClock {
  readonly #limits: readonly WaitLimit[];
  readonly #outgoing = new MessageReader();
  readonly #incoming = new MessageReader();
  #isStarted = false;
  /** Requests that the server has not finished answering. */
  #unanswered = 0;
  /** Whether a request was sent in part: the driver asks for the types of a statement's values first. */
  #isIncomplete = false;
  #waitingSince: number | undefined;
  #timers: NodeJS.Timeout[] = [];

  constructor(limits: readonly WaitLimit[]) {
    this.#limits = limits;
  }

  /** When the current statement began to wait, as `performance.now()`; `undefined` while the connection is idle. */
  get waitingSince(): number | undefined {
    return this.#waitingSince;
  }

  /** Complete messages that were sent. */
  sent(bytes: Uint8Array): void {
    if (this.#isStarted) {
      for (const type of this.#outgoing.read(bytes)) {
        this.#noteSent(type);
      }
    } else {
      // The startup message, the only one without a type.
      this.#isStarted = true;
      this.#unanswered = 1;
    }
    if (this.#isWaiting && this.#waitingSince === undefined) {
      this.#start();
    }
  }

  received(bytes: Uint8Array): void {
    for (const type of this.#incoming.read(bytes)) {
      if (type === messageType.readyForQuery) {
        this.#unanswered--;
        this.stop();
        if (this.#isWaiting) {
          this.#start();
        }
      }
    }
  }

  /** The connection is closed. */
  stop(): void {
    this.#timers.forEach(clearTimeout);
    this.#waitingSince = undefined;
  }

  get #isWaiting(): boolean {
    return this.#unanswered > 0 || this.#isIncomplete;
  }

  #noteSent(type: number): void {
    if (type === messageType.query || type === messageType.sync) {
      this.#unanswered++;
      this.#isIncomplete = false;
    } else if (type !== messageType.password && type !== messageType.terminate) {
      this.#isIncomplete = true;
    }
  }

  #start(): void {
    const since = performance.now();
    this.#waitingSince = since;
    this.#timers = this.#limits.map(({ milliseconds, onReached }) =>
      setTimeout(() => {
        // If this process itself was paused, the answer may have arrived and be waiting to be read.
        setImmediate(() => {
          if (this.#waitingSince === since) {
            onReached();
          }
        });
      }, milliseconds),
    );
  }
}

/** Finds the messages in a stream of bytes. */
class MessageReader {
  readonly #header = Buffer.alloc(headerBytes);
  #headerLength = 0;
  #bodyLeft = 0;

  /** The types of the messages that end in these bytes. */
  *read(bytes: Uint8Array): Generator<number> {
    for (let at = 0; at < bytes.length; ) {
      if (this.#headerLength < headerBytes) {
        this.#header[this.#headerLength++] = bytes[at++]!;
        if (this.#headerLength < headerBytes) {
          continue;
        }
        // The length counts itself, not the type.
        this.#bodyLeft = this.#header.readUInt32BE(1) - 4;
      }
      const taken = Math.min(this.#bodyLeft, bytes.length - at);
      this.#bodyLeft -= taken;
      at += taken;
      if (this.#bodyLeft === 0) {
        this.#headerLength = 0;
        yield this.#header[0]!;
      }
    }
  }
}
