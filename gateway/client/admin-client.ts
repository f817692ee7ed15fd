import { snakeCase } from '../../services/kit/field-name.ts';
import type {
  AdminActionList,
  AdminFailureList,
  AdminKeyList,
  AdminQueue,
  AdminVideoList,
  AdminGateway as ApiGateway,
  AdminKey as ApiKeyObject,
  AdminVideo as ApiVideo,
  CreatedKey,
  RevokedKey,
} from '../api/http/admin/admin-objects.ts';
import {
  type AdminGateway,
  type AdminVideo,
  type ApiKey,
  type FailureGroup,
  fromApi,
  type KeySettings,
  type OperatorAction,
  type QueueOfKey,
} from './admin.ts';
import { requireTimes } from './check-options.ts';
import { type HttpCall, type HttpClientOptions, httpCalls } from './http-calls.ts';
import type { CallOptions } from './video-client.ts';
import { fromVideoObject } from './video-object.ts';

export interface AdminVideosOptions extends CallOptions {
  /** Default: `queued`. */
  state?: 'queued' | 'running';
  /** Only those of the key with this id; `null`: those without one. Default: all. */
  key?: string | null;
}

export interface KeysOptions extends CallOptions {
  /** Also revoked ones. Default false. */
  revoked?: boolean;
}

export interface RevokeOptions extends CallOptions {
  /** Whether the key's queued and running videos continue. Default false. */
  keepJobs?: boolean;
}

export interface FailuresOptions extends CallOptions {
  /** Videos that failed at or after this time. Default: a day before `to`. */
  from?: Date;
  /** Videos that failed before this time, at most 366 days later. Default: now. */
  to?: Date;
  /** Number of groups, 1 to 1000. Default 100. */
  limit?: number;
}

/**
 * What operators do with a service, for keys with the scope admin. Errors and retries are those of `VideoClient`; calls that
 * change something are not retried. Each change is recorded with the operator's key.
 */
export interface AdminClient {
  /** The gateways on the database, live ones first. */
  gateways(options?: CallOptions): Promise<AdminGateway[]>;
  /** Lets a gateway start no more jobs, also after a restart. It finishes those it has. */
  pause(gateway: string, options?: CallOptions): Promise<AdminGateway>;
  /** Pauses a gateway and fails its readiness probe, so that it gets no new calls. */
  drain(gateway: string, options?: CallOptions): Promise<AdminGateway>;
  /** Lets a gateway start jobs again. */
  resume(gateway: string, options?: CallOptions): Promise<AdminGateway>;
  /** The keys with queued or running videos, most queued ones first; at most 500. */
  queue(options?: CallOptions): Promise<QueueOfKey[]>;
  /** Queued or running videos of all keys, oldest first; pages are fetched as they are read. */
  videos(options?: AdminVideosOptions): AsyncIterable<AdminVideo>;
  /** Sets the priority of a queued video, -100 to 100, even above the maximum of its key. */
  setPriority(id: string, priority: number, options?: CallOptions): Promise<AdminVideo>;
  /** Oldest first; pages are fetched as they are read. */
  keys(options?: KeysOptions): AsyncIterable<ApiKey>;
  key(id: string, options?: CallOptions): Promise<ApiKey>;
  /** The new key; `key`, its text, is not shown again. Absent settings take their defaults. */
  createKey(
    settings: Partial<KeySettings> & Pick<KeySettings, 'name'>,
    options?: CallOptions,
  ): Promise<ApiKey & { key: string }>;
  /** Changes the settings that are given, within seconds at every gateway. */
  updateKey(id: string, changes: Partial<KeySettings>, options?: CallOptions): Promise<ApiKey>;
  /** Revokes a key and cancels its videos; returns how many. */
  revokeKey(id: string, options?: RevokeOptions): Promise<ApiKey & { cancelled: number }>;
  /** Failed videos by reason and model, deleted ones included, the most frequent first. */
  failures(options?: FailuresOptions): Promise<FailureGroup[]>;
  /** What operators did through the API, latest first; pages are fetched as they are read. */
  actions(options?: CallOptions): AsyncIterable<OperatorAction>;
  close(): void;
}

/** A client for operators, over HTTP. Throws INVALID_ARGUMENT for a `baseUrl` that is not an http or https URL. */
export function connectAdmin(options: HttpClientOptions): AdminClient {
  const { call, close } = httpCalls(options);

  const ask = async <T>(path: string, how: HttpCall = {}): Promise<T> =>
    (await (await call(`/v1/admin/${path}`, how)).json()) as T;

  const change = <T>(path: string, how: HttpCall = {}): Promise<T> =>
    ask<T>(path, { ...how, method: 'POST', once: true });

  const setMode = async (gateway: string, verb: string, how?: CallOptions) =>
    fromApi(await change<ApiGateway>(`gateways/${encodeURIComponent(gateway)}/${verb}`, how));

  /** Every page; `next` sets the parameter that names the following one. */
  async function* pages<P extends { has_more: boolean }>(
    path: string,
    query: URLSearchParams,
    next: (page: P) => [name: string, value: string],
    { signal }: CallOptions,
  ): AsyncGenerator<P> {
    for (;;) {
      const page = await ask<P>(`${path}?${query}`, { ...(signal && { signal }) });
      yield page;
      if (!page.has_more) {
        return;
      }
      query.set(...next(page));
    }
  }

  return {
    gateways: async (how) => (await ask<{ data: ApiGateway[] }>('gateways', how)).data.map(fromApi),
    pause: (gateway, how) => setMode(gateway, 'pause', how),
    drain: (gateway, how) => setMode(gateway, 'drain', how),
    resume: (gateway, how) => setMode(gateway, 'resume', how),
    queue: async (how) => (await ask<AdminQueue>('queue', how)).data.map(fromApi),
    async *videos({ state = 'queued', key, ...how } = {}) {
      const query = new URLSearchParams({ status: state === 'running' ? 'in_progress' : state });
      if (key !== undefined) {
        query.set('key', key ?? 'none');
      }
      for await (const { data } of pages<AdminVideoList>('videos', query, (page) => ['after', page.last_id!], how)) {
        yield* data.map(fromAdminVideo);
      }
    },
    async setPriority(id, priority, how) {
      const path = `videos/${encodeURIComponent(id)}/priority`;
      return fromAdminVideo(await change<ApiVideo>(path, { ...how, body: { priority } }));
    },
    async *keys({ revoked = false, ...how } = {}) {
      const query = new URLSearchParams({ revoked: String(revoked) });
      for await (const { data } of pages<AdminKeyList>('keys', query, (page) => ['after', page.last_id!], how)) {
        yield* data.map(fromApi);
      }
    },
    key: async (id, how) => fromApi(await ask<ApiKeyObject>(pathOfKey(id), how)),
    createKey: async (settings, how) => fromApi(await change<CreatedKey>('keys', { ...how, body: toBody(settings) })),
    updateKey: async (id, changes, how) =>
      fromApi(await change<ApiKeyObject>(pathOfKey(id), { ...how, body: toBody(changes) })),
    revokeKey: async (id, { keepJobs = false, ...how } = {}) =>
      fromApi(await change<RevokedKey>(`${pathOfKey(id)}/revoke?keep_jobs=${keepJobs}`, how)),
    async failures({ from, to, limit = 100, ...how } = {}) {
      requireTimes({ from, to });
      const query = new URLSearchParams({
        limit: String(limit),
        ...(from && { from: from.toISOString() }),
        ...(to && { to: to.toISOString() }),
      });
      return (await ask<AdminFailureList>(`failures?${query}`, how)).data.map(fromApi);
    },
    async *actions(how = {}) {
      const next = ({ data }: AdminActionList): [string, string] => ['before', String(data.at(-1)!.number)];
      for await (const { data } of pages<AdminActionList>('actions', new URLSearchParams(), next, how)) {
        yield* data.map(fromApi);
      }
    },
    close,
  };
}

function pathOfKey(id: string): string {
  return `keys/${encodeURIComponent(id)}`;
}

function toBody(settings: object): object {
  return Object.fromEntries(Object.entries(settings).map(([name, value]) => [snakeCase(name), value]));
}

function fromAdminVideo({ video, ...rest }: ApiVideo): AdminVideo {
  return { ...fromApi(rest), video: fromVideoObject(video) };
}
