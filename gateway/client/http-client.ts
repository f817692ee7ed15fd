import { randomUUID } from 'node:crypto';
import { Status } from 'nice-grpc-common';
import { FusionError, invalidField, inWords, isAbortError } from '../../services/kit/errors.ts';
import type { UsageGroupObject } from '../api/http/usage-object.ts';
import type { VideoList } from '../api/http/video-object.ts';
import { requireTimes } from './check-options.ts';
import { type Change, followChanges } from './follow-changes.ts';
import { type HttpCall, type HttpClientOptions, httpCalls } from './http-calls.ts';
import { readServerEvents } from './server-events.ts';
import { type Download, type DownloadOptions, maxPageSize, usagePageSize, type VideoClient } from './video-client.ts';
import {
  fromModelObject,
  fromUsageGroupObject,
  fromVideoObject,
  type ModelObject,
  toCreateBody,
  toListQuery,
  type VideoObject,
} from './video-object.ts';

/** A client of a gateway over HTTP. Throws INVALID_ARGUMENT for a `baseUrl` that is not an http or https URL. */
export function connectHttp(options: HttpClientOptions): VideoClient {
  const { call, callOnce, close } = httpCalls(options);

  const callForVideo = async (path: string, options?: HttpCall) =>
    fromVideoObject((await (await call(path, options)).json()) as VideoObject);

  async function* changesAfter(id: string, token: string, signal?: AbortSignal): AsyncGenerator<Change<VideoObject>> {
    const response = await callOnce(`${pathOf(id)}/events`, {
      ...(token !== '' && { headers: { 'last-event-id': token } }),
      ...(signal && { signal }),
    });
    // 204: there are no further changes.
    if (response.status === 204) {
      return;
    }
    let last: VideoObject | undefined;
    for await (const event of readServerEvents(bodyOf(response, signal))) {
      last = JSON.parse(event.data) as VideoObject;
      yield { video: last, token: event.id };
    }
    if (last?.status !== 'completed' && last?.status !== 'failed') {
      throw new FusionError(Status.UNAVAILABLE, `the events of ${id} were interrupted`);
    }
  }

  async function download(id: string, { file = 'video', offset = 0, signal }: DownloadOptions = {}): Promise<Download> {
    if (typeof file !== 'string') {
      throw invalidField('file', inWords('a frame'), 'a named file: single frames are available over gRPC only');
    }
    const response = await call(`${pathOf(id)}/content?variant=${file}`, {
      ...(offset > 0 && { headers: { range: `bytes=${offset}-` } }),
      ...(signal && { signal }),
    });
    const { headers } = response;
    const whole = headers.get('content-range')?.split('/')[1] ?? headers.get('content-length');
    return {
      mediaType: headers.get('content-type') ?? '',
      bytes: Number(whole),
      sha256: (headers.get('etag') ?? '').replaceAll('"', ''),
      [Symbol.asyncIterator]: () => bodyOf(response, signal),
    };
  }

  return {
    async create(video, options) {
      const headers = { 'idempotency-key': video.idempotencyKey ?? randomUUID() };
      return callForVideo('/v1/videos', { ...options, method: 'POST', headers, body: toCreateBody(video) });
    },
    async createAll(videos, { idempotencyKey = randomUUID(), ...options } = {}) {
      const headers = { 'idempotency-key': idempotencyKey };
      const body = { videos: videos.map(toCreateBody) };
      const response = await call('/v1/videos/batch', { ...options, method: 'POST', headers, body });
      return ((await response.json()) as { data: VideoObject[] }).data.map(fromVideoObject);
    },
    finish(id, { idempotencyKey = randomUUID(), frameRate, ...others } = {}, options) {
      const headers = { 'idempotency-key': idempotencyKey };
      const body = { frame_rate: frameRate, ...others };
      return callForVideo(`${pathOf(id)}/finish`, { ...options, method: 'POST', headers, body });
    },
    remix(id, { idempotencyKey = randomUUID(), ...body }, options) {
      const headers = { 'idempotency-key': idempotencyKey };
      return callForVideo(`${pathOf(id)}/remix`, { ...options, method: 'POST', headers, body });
    },
    async models(options) {
      const { data } = (await (await call('/v1/models', options)).json()) as { data: ModelObject[] };
      return data.map(fromModelObject);
    },
    get: (id, options) => callForVideo(pathOf(id), options),
    async *list(options = {}) {
      const { state, signal } = options;
      const query = toListQuery({ pageSize: maxPageSize, ...options });
      for (;;) {
        const response = await call(`/v1/videos?${query}`, { ...(signal && { signal }) });
        const page = (await response.json()) as VideoList;
        // A status may stand for several states.
        yield* page.data.map(fromVideoObject).filter((video) => state === undefined || video.state === state);
        if (!page.has_more) {
          return;
        }
        query.set('after', page.last_id!);
      }
    },
    cancel: (id, options) => callForVideo(`${pathOf(id)}/cancel`, { ...options, method: 'POST' }),
    async delete(id, options) {
      await (await call(pathOf(id), { ...options, method: 'DELETE', once: true })).text();
    },
    async *watch(id, { signal, onAbsence } = {}) {
      for await (const object of followChanges((token) => changesAfter(id, token, signal), { signal, onAbsence })) {
        yield fromVideoObject(object);
      }
    },
    download,
    async *usage({ groupBy = 'key', from, to = new Date(), ...options } = {}) {
      requireTimes({ from, to });
      const query = new URLSearchParams({ group_by: groupBy, to: to.toISOString(), limit: String(usagePageSize) });
      if (from) {
        query.set('from', from.toISOString());
      }
      for (;;) {
        const response = await call(`/v1/usage?${query}`, options);
        const page = (await response.json()) as { data: UsageGroupObject[]; last_id: string; has_more: boolean };
        yield* page.data.map(fromUsageGroupObject);
        if (!page.has_more) {
          return;
        }
        query.set('after', page.last_id);
      }
    },
    close,
  };
}

function pathOf(id: string): string {
  return `/v1/videos/${encodeURIComponent(id)}`;
}

/** The bytes of a body; throws UNAVAILABLE if the connection breaks. */
async function* bodyOf(response: Response, signal?: AbortSignal): AsyncGenerator<Uint8Array> {
  try {
    yield* response.body ?? [];
  } catch (error) {
    if (signal?.aborted || isAbortError(error)) {
      throw error;
    }
    throw new FusionError(Status.UNAVAILABLE, `${response.url}: the connection was lost`, { cause: error });
  }
}
