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

/** Maximum number of requests in progress from one address without a key. */
const maxAnonymousPerAddress = 256;

/** Requests without a key that are always allowed, even under a low total limit. */
const minAnonymous = 16;

export interface RequestPlacesOptions {
  /** Maximum number of requests in progress. */
  maxConcurrentCalls: number;
  calls?: CallsOfKeys;
  trustedProxies?: BlockList | undefined;
  log: Logger;
}

/**
 * Limits requests in progress: in total, without a key (half of the total, such as for the page), from one address
 * without a key, and for each key. Probes do not count.
 */
export class RequestPlaces {
  readonly #limit: number;
  readonly #calls: CallsOfKeys | undefined;
  readonly #proxies: BlockList | undefined;
  readonly #log: OccasionalLog;
  readonly #anonymous = new Counts();
  /** Stops counting a request as anonymous. */
  readonly #recognize = new WeakMap<FastifyRequest, () => void>();
  #running = 0;
  #anonymousCount = 0;

  constructor({ maxConcurrentCalls, calls, trustedProxies, log }: RequestPlacesOptions) {
    this.#limit = maxConcurrentCalls;
    this.#calls = calls;
    this.#proxies = trustedProxies;
    this.#log = new OccasionalLog(log);
  }

  /** Takes a place until the response is complete or the client is gone. Throws RESOURCE_EXHAUSTED. */
  enter(request: FastifyRequest, reply: FastifyReply): void {
    if (probes.includes(request.routeOptions.url ?? '')) {
      return;
    }
    const ip = clientAddress(request, this.#proxies);
    if (request.raw.socket.destroyed) {
      throw this.#tooMany(ip, 'the connection is closed');
    }
    if (this.#running >= this.#limit) {
      throw this.#tooMany(ip, `${this.#running} requests are in progress, the limit is ${this.#limit}`);
    }
    const isCrowded = this.#anonymousCount >= Math.max(minAnonymous, this.#limit / 2);
    if (isCrowded || this.#anonymous.get(ip) >= maxAnonymousPerAddress) {
      throw this.#tooMany(ip, `${this.#anonymous.get(ip)} requests without a key are in progress from ${ip}`);
    }
    this.#running++;
    this.#countAnonymous(ip, 1);
    let isAnonymous = true;
    const recognize = () => {
      if (isAnonymous) {
        isAnonymous = false;
        this.#countAnonymous(ip, -1);
      }
    };
    this.#recognize.set(request, recognize);
    reply.raw.once('close', () => {
      this.#running--;
      recognize();
    });
  }

  /** From now on counts a request for its caller. Throws RESOURCE_EXHAUSTED. */
  recognize(request: FastifyRequest, reply: FastifyReply, caller: Caller): void {
    this.#recognize.get(request)?.();
    const leave = this.#calls?.enter(caller);
    if (leave) {
      reply.raw.once('close', leave);
    }
  }

  #countAnonymous(ip: string, change: 1 | -1): void {
    this.#anonymousCount += change;
    this.#anonymous.add(ip, change);
  }

  #tooMany(ip: string, why: string): FusionError {
    this.#log.warn(
      ip,
      { address: ip, running: this.#running, withoutKey: this.#anonymousCount },
      'requests are refused',
    );
    return new FusionError(Status.RESOURCE_EXHAUSTED, `${why}; try again later`, {
      reason: 'TOO_MANY_CALLS',
      retryAfterSeconds: 1,
    });
  }
}
