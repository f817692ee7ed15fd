import { setTimeout as delay } from 'node:timers/promises';
import { Status } from 'nice-grpc-common';
import { FusionError, invalidField, isAbortError } from '../../services/kit/errors.ts';
import { reasonOf } from '../../services/kit/reason-of.ts';
import { timeLimit } from '../../services/kit/time-limit.ts';
import { readHttpError } from './http-error.ts';
import type { CallOptions } from './video-client.ts';

export interface HttpClientOptions {
  /** Such as `http://127.0.0.1:8080`; a path before `/v1` is kept. */
  baseUrl: string;
  /** Default: none, for a gateway without keys. */
  apiKey?: string;
  /** Timeout of a call, or of the wait for a watch's or download's headers, seconds. Default 60. */
  timeoutSeconds?: number;
  /** Sends the requests, for instance through a proxy. Default: the global `fetch`. */
  fetch?: typeof globalThis.fetch;
}

/** Pauses before a call is repeated, milliseconds. */
const pauses = [100, 200, 400, 800, 1000];

export interface HttpCall extends CallOptions {
  method?: string;
  headers?: Record<string, string>;
  body?: object;
  /** Not to be retried: a failed call may have had its effect. */
  once?: boolean;
}

/** Calls of a gateway over HTTP. */
export interface HttpCalls {
  /** A successful response whose body has not been read. Repeated while the gateway is UNAVAILABLE. */
  call(path: string, options?: HttpCall): Promise<Response>;
  /** The same, once. */
  callOnce(path: string, options: HttpCall): Promise<Response>;
  close(): void;
}

/** Throws INVALID_ARGUMENT for a `baseUrl` that is not an http or https URL. */
export function httpCalls({
  baseUrl,
  apiKey,
  timeoutSeconds = 60,
  fetch = globalThis.fetch,
}: HttpClientOptions): HttpCalls {
  const base = parseBase(baseUrl);
  const closing = new AbortController();

  async function callOnce(path: string, { method = 'GET', headers, body, signal }: HttpCall): Promise<Response> {
    const limit = timeLimit(timeoutSeconds * 1000);
    // Also ends the body, to which the time limit no longer applies.
    const ended = AbortSignal.any([closing.signal, limit.signal, ...(signal ? [signal] : [])]);
    try {
      const response = await fetch(`${base}${path}`, {
        method,
        headers: {
          ...(apiKey && { authorization: `Bearer ${apiKey}` }),
          ...(body && { 'content-type': 'application/json' }),
          ...headers,
        },
        ...(body && { body: JSON.stringify(body) }),
        signal: ended,
      });
      if (response.ok) {
        return response;
      }
      throw readHttpError(response.status, response.headers, await response.text());
    } catch (error) {
      if (limit.isOver) {
        throw new FusionError(Status.DEADLINE_EXCEEDED, `${method} ${base}${path}: no answer in ${timeoutSeconds} s`);
      }
      if (error instanceof FusionError || isAbortError(error)) {
        throw error;
      }
      throw new FusionError(Status.UNAVAILABLE, `${method} ${base}${path}: ${reasonOf(error)}`, { cause: error });
    } finally {
      limit.end();
    }
  }

  async function call(path: string, options: HttpCall = {}): Promise<Response> {
    for (let attempt = 0; ; attempt++) {
      try {
        return await callOnce(path, options);
      } catch (error) {
        const pause = pauses[attempt];
        const isPassing = error instanceof FusionError && error.code === Status.UNAVAILABLE;
        if (!isPassing || options.once || pause === undefined) {
          throw error;
        }
        await delay(pause, undefined, options.signal ? { signal: options.signal } : {});
      }
    }
  }

  return { call, callOnce, close: () => closing.abort() };
}

function parseBase(baseUrl: string): string {
  const url = URL.canParse(baseUrl) ? new URL(baseUrl) : undefined;
  if (!url || !/^https?:$/.test(url.protocol) || url.search !== '' || url.hash !== '') {
    throw invalidField('baseUrl', baseUrl, 'an http or https URL without query and fragment');
  }
  return url.href.replace(/\/+$/, '');
}
