import { type ModelQueuePolicy, ModelQueuePolicy_TimeoutAction } from '../../../proto/gen/model_config.ts';
import type { FusionError } from '../../kit/errors.ts';
import { requestPrefix, unavailable } from '../errors.ts';

/** What the queue needs to know about a request, and its callback for a dropped one. */
export interface Queued {
  readonly id: string;
  /** 1 is served first. */
  readonly priority: bigint;
  /** The caller's own limit on the waiting time; 0: none. */
  readonly timeoutMicroseconds: bigint;
  drop(error: FusionError): void;
}

/** Longest delay of a Node timer, milliseconds; a longer one fires at once. */
const maxTimer = 2 ** 31 - 1;

interface Level<T> {
  waiting: T[];
  /** Timed-out requests under the policy DELAY: served after all others of their level. */
  delayed: T[];
}

/**
 * The requests that wait for a model, by priority, first come first served within one. Bounded in number and, if a policy says
 * so, in time: a request that times out is removed at once.
 */
export class RequestQueue<T extends Queued> {
  readonly #policyOf: (priority: bigint) => ModelQueuePolicy | undefined;
  readonly #defaultLimit: number;
  readonly #levels = new Map<bigint, Level<T>>();
  readonly #timers = new Map<T, NodeJS.Timeout>();
  #length = 0;

  /** @param defaultLimit maximum requests of one priority if the policy has no `max_queue_size` */
  constructor(policyOf: (priority: bigint) => ModelQueuePolicy | undefined, defaultLimit: number) {
    this.#policyOf = policyOf;
    this.#defaultLimit = defaultLimit;
  }

  get length(): number {
    return this.#length;
  }

  /** Throws UNAVAILABLE when the queue of the request's priority is full. */
  add(request: T): void {
    const policy = this.#policyOf(request.priority);
    const level = this.#level(request.priority);
    if (level.waiting.length + level.delayed.length >= (policy?.maxQueueSize || this.#defaultLimit)) {
      throw unavailable(`${requestPrefix(request.id)}Exceeds maximum queue size`);
    }
    level.waiting.push(request);
    this.#length++;
    const microseconds = policy ? timeoutOf(policy, request) : 0n;
    if (microseconds > 0n) {
      this.#timers.set(
        request,
        setTimeout(() => this.#expire(request, policy!), Math.min(Number(microseconds) / 1000, maxTimer)),
      );
    }
  }

  /** Removes a request if it is still queued. */
  remove(request: T): boolean {
    clearTimeout(this.#timers.get(request));
    this.#timers.delete(request);
    const level = this.#level(request.priority);
    for (const list of [level.waiting, level.delayed]) {
      const index = list.indexOf(request);
      if (index >= 0) {
        list.splice(index, 1);
        this.#length--;
        return true;
      }
    }
    return false;
  }

  /** All requests in the order in which they are to be served. */
  *[Symbol.iterator](): Generator<T> {
    for (const [, level] of [...this.#levels].sort(([a], [b]) => (a < b ? -1 : 1))) {
      yield* level.waiting;
      yield* level.delayed;
    }
  }

  #expire(request: T, policy: ModelQueuePolicy): void {
    this.#timers.delete(request);
    if (!this.remove(request)) {
      return;
    }
    if (policy.timeoutAction === ModelQueuePolicy_TimeoutAction.DELAY) {
      this.#level(request.priority).delayed.push(request);
      this.#length++;
    } else {
      request.drop(unavailable('Request timeout expired'));
    }
  }

  #level(priority: bigint): Level<T> {
    let level = this.#levels.get(priority);
    if (!level) {
      level = { waiting: [], delayed: [] };
      this.#levels.set(priority, level);
    }
    return level;
  }
}

/** The caller may shorten the policy's timeout if the policy allows it, but not extend it. */
function timeoutOf(policy: ModelQueuePolicy, request: Queued): bigint {
  const { defaultTimeoutMicroseconds: standard, allowTimeoutOverride } = policy;
  const own = request.timeoutMicroseconds;
  return allowTimeoutOverride && own > 0n && own < standard ? own : standard;
}
