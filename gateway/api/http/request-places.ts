import type { BlockList } from 'node:net';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { Status } from 'nice-grpc-common';
import { FusionError } from '../../../services/kit/errors.ts';
import { Counts } from '../../../services/kit/limits/counts.ts';
import { OccasionalLog } from '../../../services/kit/limits/occasional-log.ts';
import type { Logger } from '../../../services/kit/log.ts';
import type { Caller } from '../../keys/caller.ts';
import type { CallsOfKeys } from '../../keys/calls-of-keys.ts';
import { probes } from './trace-requests.ts';
import { clientAddress } from './trusted-proxies.ts';

/** Requests of one address without a key that may be under way. */
const strangersPerAddress = 256;

/** Never fewer, however few requests may be under way in all. */
const leastStrangers = 16;

export interface RequestPlacesOptions {
  /** Requests under way at once. */
  maxConcurrentCalls: number;
  calls?: CallsOfKeys;
  trustedProxies?: BlockList | undefined;
  log: Logger;
}

/**
 * The places for requests that are under way. Requests without a key, such as for the page, have half of them at most, and
 * one address a part of that half; then the places of each key are bounded. Probes are outside of it all.
 */
export class RequestPlaces {
  readonly #limit: number;
  readonly #calls: CallsOfKeys | undefined;
  readonly #proxies: BlockList | undefined;
  readonly #log: OccasionalLog;
  readonly #strangers = new Counts();
  /** How to count a request no longer as a stranger's. */
  readonly #recognize = new WeakMap<FastifyRequest, () => void>();
  #running = 0;
  #strangerCount = 0;

  constructor({ maxConcurrentCalls, calls, trustedProxies, log }: RequestPlacesOptions) {
    this.#limit = maxConcurrentCalls;
    this.#calls = calls;
    this.#proxies = trustedProxies;
    this.#log = new OccasionalLog(log);
  }

  /** Takes a place until the answer is complete or its reader gone. Throws RESOURCE_EXHAUSTED. */
  enter(request: FastifyRequest, reply: FastifyReply): void {
    if (probes.includes(request.routeOptions.url ?? '')) {
      return;
    }
    const ip = clientAddress(request, this.#proxies);
    if (this.#running >= this.#limit) {
      throw this.#tooMany(ip, `${this.#running} requests are under way, allowed: ${this.#limit}`);
    }
    const isCrowded = this.#strangerCount >= Math.max(leastStrangers, this.#limit / 2);
    if (isCrowded || this.#strangers.get(ip) >= strangersPerAddress) {
      throw this.#tooMany(ip, `${this.#strangers.get(ip)} requests without a key are under way from ${ip}`);
    }
    this.#running++;
    this.#countStranger(ip, 1);
    let isStranger = true;
    const recognize = () => {
      if (isStranger) {
        isStranger = false;
        this.#countStranger(ip, -1);
      }
    };
    this.#recognize.set(request, recognize);
    reply.raw.once('close', () => {
      this.#running--;
      recognize();
    });
  }

  /** Counts a request as its caller's from now on. Throws RESOURCE_EXHAUSTED. */
  recognize(request: FastifyRequest, reply: FastifyReply, caller: Caller): void {
    this.#recognize.get(request)?.();
    const leave = this.#calls?.enter(caller);
    if (leave) {
      reply.raw.once('close', leave);
    }
  }

  #countStranger(ip: string, change: 1 | -1): void {
    this.#strangerCount += change;
    this.#strangers.add(ip, change);
  }

  #tooMany(ip: string, why: string): FusionError {
    this.#log.warn(
      ip,
      { address: ip, running: this.#running, withoutKey: this.#strangerCount },
      'requests are refused',
    );
    return new FusionError(Status.RESOURCE_EXHAUSTED, `${why}; try again later`, {
      reason: 'TOO_MANY_CALLS',
      retryAfterSeconds: 1,
    });
  }
}
