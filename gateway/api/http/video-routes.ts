import { z } from 'zod';
import { FusionError } from '../../../services/kit/errors.ts';
import { choice, text, wholeNumber } from '../../../services/kit/values.ts';
import type { VideoJobs } from '../../jobs/video-jobs.ts';
import { maxClientIdLength } from '../job-options.ts';
import { type NewJobContext, newJob } from '../new-job.ts';
import { byRequestName, createFields, toCreateRequest, versionKey } from './create-request.ts';
import { type Route, route } from './route.ts';
import { toVideoObject, videoId, videoList, videoObject } from './video-object.ts';

const keyMustBe = `1 to ${maxClientIdLength} characters, or absent`;

const createHeaders = z.object({
  'idempotency-key': z
    .string()
    .min(1, keyMustBe)
    .max(maxClientIdLength, keyMustBe)
    .optional()
    .describe('Makes the request safe to repeat: the same request returns the same video.'),
});

/** Parameters that would change the result if they were supported: rejected, so that no client mistakes the result for it. */
const unknownPaging = [
  'before',
  'cursor',
  'ending_before',
  'filter',
  'offset',
  'order_by',
  'page',
  'page_size',
  'page_token',
  'per_page',
  'q',
  'search',
  'sort',
  'starting_after',
  'status',
];

/** Others are ignored, such as those added by proxies (`?model=`, `?api-version=`, `?t=`). */
const listQuery = z.looseObject({
  ...Object.fromEntries(unknownPaging.map((name) => [name, z.undefined('absent: it is not supported').optional()])),
  limit: wholeNumber(1, 100).given.default(20).describe('Number of videos.'),
  after: text()
    .given.optional()
    .describe('Id of the last video on the previous page, which may have been deleted since.'),
  order: choice(['asc', 'desc']).given.default('desc').describe('asc: oldest first; desc: newest first.'),
});

export const deletedVideo = z.strictObject({
  id: z.string(),
  object: z.literal('video.deleted'),
  deleted: z.literal(true),
});

interface VideoRoutesContext {
  jobs: VideoJobs;
  newJobs: NewJobContext;
}

/** Creating, reading, cancelling and deleting videos. */
export function videoRoutes({ jobs, newJobs }: VideoRoutesContext): Route[] {
  const { models } = newJobs;
  const create = route(
    {
      method: 'POST',
      path: '/v1/videos',
      name: 'createVideo',
      summary: 'Create a video. The response means that it is queued and will not be lost.',
      scope: 'create',
      headers: createHeaders,
      body: createFields,
      answers: {
        200: { description: 'The video.', schema: videoObject },
        422: { description: 'The Idempotency-Key was used for a different request.' },
      },
    },
    async ({ body, headers, caller, reply }) => {
      try {
        const clientId = headers['idempotency-key'] ?? '';
        const route = models.choose(body.model ?? '', versionKey(body, clientId));
        const request = toCreateRequest(body, clientId, route.preset);
        const { job, replayed } = await jobs.create(newJob(request, route, newJobs), caller);
        if (replayed) {
          reply.header('idempotent-replayed', 'true');
        }
        return toVideoObject(job, models);
      } catch (error) {
        throw byRequestName(error, body);
      }
    },
  );

  const list = route(
    {
      method: 'GET',
      path: '/v1/videos',
      name: 'listVideos',
      summary: 'List videos of the caller, page by page.',
      scope: 'read',
      query: listQuery,
      answers: { 200: { description: 'One page.', schema: videoList } },
    },
    async ({ query: { limit, after, order }, caller }) => {
      const last = after === undefined ? undefined : await jobs.sequence(after, caller).catch(namedAfter);
      // One more than requested shows whether there is another page.
      const page = { limit: limit + 1, ...(order === 'asc' ? { after: last ?? 0 } : { before: last }) };
      const found = await jobs.list(page, caller);
      const data = (order === 'asc' ? found.reverse() : found).slice(0, limit).map((job) => toVideoObject(job, models));
      return {
        object: 'list',
        data,
        first_id: data.at(0)?.id ?? null,
        last_id: data.at(-1)?.id ?? null,
        has_more: found.length > limit,
      };
    },
  );

  const get = route(
    {
      method: 'GET',
      path: '/v1/videos/{id}',
      name: 'getVideo',
      summary: 'Get a video.',
      scope: 'read',
      params: videoId,
      answers: { 200: { description: 'The video.', schema: videoObject } },
    },
    async ({ params, caller }) => toVideoObject(await jobs.get(params.id, caller), models),
  );

  const cancel = route(
    {
      method: 'POST',
      path: '/v1/videos/{id}/cancel',
      name: 'cancelVideo',
      summary: 'Cancel a video that is queued or in progress.',
      scope: 'create',
      params: videoId,
      answers: { 200: { description: 'The cancelled video.', schema: videoObject } },
    },
    async ({ params, caller }) => toVideoObject(await jobs.cancel(params.id, caller), models),
  );

  const remove = route(
    {
      method: 'DELETE',
      path: '/v1/videos/{id}',
      name: 'deleteVideo',
      summary: 'Delete a video and its files. If it is queued or in progress, it is cancelled first.',
      scope: 'create',
      params: videoId,
      answers: { 200: { description: 'It has been deleted.', schema: deletedVideo } },
    },
    async ({ params, caller }) => {
      await jobs.delete(params.id, caller);
      return { id: params.id, object: 'video.deleted', deleted: true };
    },
  );

  return [create, list, get, cancel, remove];
}

/** The video named by `after` does not exist. */
function namedAfter(thrown: unknown): never {
  if (thrown instanceof FusionError && thrown.field === 'id') {
    const { code, reason, message } = thrown;
    throw new FusionError(code, message.replace(/^id:/, 'after:').replace('`id`', '`after`'), {
      reason,
      field: 'after',
      cause: thrown,
    });
  }
  throw thrown;
}
