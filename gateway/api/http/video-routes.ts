import type { FastifyReply } from 'fastify';
import { z } from 'zod';
import { FusionError, invalidField } from '../../../services/kit/errors.ts';
import { choice, text, time, wholeNumber } from '../../../services/kit/values.ts';
import { toMessage } from '../../../services/pipeline/options.ts';
import { videoOptions } from '../../../services/pipeline/video-options.ts';
import { countKeyframes } from '../../jobs/count-keyframes.ts';
import type { NewJob } from '../../jobs/job.ts';
import type { JobFilter } from '../../jobs/store/read-jobs.ts';
import type { VideoJobs } from '../../jobs/video-jobs.ts';
import type { Caller } from '../../keys/caller.ts';
import { parseModelId } from '../../models/model-route.ts';
import { batchSize, clientIdsOf, inBatch, maxBatch, ofBatch, oneOf } from '../batch.ts';
import { checkMetadata, checkTime, maxClientIdLength } from '../job-options.ts';
import { maxPictureRequestBytes } from '../max-request-bytes.ts';
import { jobOn, type NewJobContext, newJob } from '../new-job.ts';
import { newFinish, newRemix } from '../new-remix.ts';
import {
  byRequestName,
  countOf,
  createFields,
  eachVideo,
  metadataField,
  toCreateRequest,
  toLabels,
  toWebhook,
  versionKey,
} from './create-request.ts';
import { toLoras } from './lora-fields.ts';
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

/** The answer to a repeated key whose request is another. */
const keyConflict = { description: 'The Idempotency-Key was used for a different request.' };

const listQuery = z.strictObject({
  limit: wholeNumber(1, 100).given.default(20).describe('Number of videos.'),
  after: text()
    .given.optional()
    .describe('Id of the last video on the previous page, which may have been deleted since.'),
  order: choice(['asc', 'desc']).given.default('desc').describe('asc: oldest first; desc: newest first.'),
  status: choice(['queued', 'in_progress', 'completed', 'failed'])
    .given.optional()
    .describe('Only videos with this status; cancelled ones are failed.'),
  model: text().given.optional().describe('Only videos of this model, or of this version of it.'),
  metadata: metadataField.optional().describe('Only videos with these labels: `metadata[team]=red`.'),
  created_after: time()
    .given.optional()
    .describe('Only videos created at or after this time: a day, an ISO 8601 time or seconds since 1970.'),
  created_before: time().given.optional().describe('Only videos created before this time.'),
});

const statesOf = {
  queued: ['queued'],
  in_progress: ['running'],
  completed: ['succeeded'],
  failed: ['failed', 'cancelled'],
} as const;

const batchFields = z
  .strictObject({
    videos: z
      .array(createFields, 'a list of videos to create')
      .min(1, batchSize)
      .max(maxBatch, batchSize)
      .describe(`1 to ${maxBatch} bodies of POST /v1/videos.`),
  })
  .describe('Videos to create, all or none.');

const remixFields = z
  .strictObject({
    prompt: text().given.describe('What the new video shows.'),
    metadata: metadataField.nullish().describe('Labels of the new video.'),
    webhook: createFields.shape.webhook,
  })
  .describe('The same settings and seed with another prompt.');

const finishOptions = { frameRate: videoOptions.frameRate, format: videoOptions.format };

const finishFields = z
  .strictObject({
    frame_rate: finishOptions.frameRate.kind.given
      .nullish()
      .describe("Frame rate of the new video. Default: the preset's."),
    format: finishOptions.format.kind.given.nullish().describe('Format of the new video. Default: that of the other.'),
    metadata: metadataField.nullish().describe('Labels of the new video. Default: those of the other.'),
    webhook: createFields.shape.webhook,
  })
  .describe('The same settings and seed with another frame rate.');

/** One video, or a list of several. */
export const createdVideos = z.union([videoObject, videoList]);

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
      summary: 'Create a video, or `n` of them. The response means that they are queued and will not be lost.',
      scope: 'create',
      headers: createHeaders,
      body: createFields,
      bodyLimit: maxPictureRequestBytes,
      answers: {
        200: { description: 'The video; with `n` above 1, a list of them.', schema: createdVideos },
        422: keyConflict,
      },
    },
    async ({ body, headers, caller, reply, signal }) => {
      try {
        const given = await countKeyframes(body.keyframes ?? undefined, jobs, caller, signal);
        const videos = eachVideo(body, headers['idempotency-key'] ?? '');
        const wanted = videos.map(([fields, id]) => oneOf(videos.length, toNewJob(fields, id, given)));
        const list = await createAll(wanted, caller, reply, signal);
        return wanted.length === 1 ? list.data[0] : list;
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
    async ({ query: { limit, after, order, ...query }, caller }) => {
      const last = after === undefined ? undefined : await jobs.sequence(after, caller).catch(namedAfter);
      // One more than requested shows whether there is another page.
      const page = {
        limit: limit + 1,
        filter: toFilter(query),
        ...(order === 'asc' ? { after: last ?? 0 } : { before: last }),
      };
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

  const createBatch = route(
    {
      method: 'POST',
      path: '/v1/videos/batch',
      name: 'createVideos',
      summary: 'Create several videos, all or none, in the order of the list.',
      scope: 'create',
      headers: createHeaders,
      body: batchFields,
      bodyLimit: maxPictureRequestBytes,
      answers: {
        200: { description: 'The videos.', schema: videoList },
        422: keyConflict,
      },
    },
    async ({ body: { videos }, headers, caller, reply, signal }) => {
      const key = headers['idempotency-key'] ?? '';
      const idOf = clientIdsOf(key);
      const named = (error: unknown, index: number) => inBatch(byRequestName(error, videos[index]!), index, key);
      const wanted: NewJob[] = [];
      for (const [index, fields] of videos.entries()) {
        try {
          if (countOf(fields) > 1) {
            throw invalidField('n', countOf(fields), '1 in a batch');
          }
          const given = await countKeyframes(fields.keyframes ?? undefined, jobs, caller, signal);
          wanted.push(ofBatch(toNewJob(fields, idOf(index), given), index, videos.length, key));
        } catch (error) {
          throw named(error, index);
        }
      }
      return createAll(wanted, caller, reply, signal, named);
    },
  );

  const remix = route(
    {
      method: 'POST',
      path: '/v1/videos/{id}/remix',
      name: 'remixVideo',
      summary: 'Create a video with the settings, seed and picture of another one and a new prompt.',
      scope: 'create',
      headers: createHeaders,
      params: videoId,
      body: remixFields,
      answers: {
        200: { description: 'The new video.', schema: videoObject },
        422: keyConflict,
      },
    },
    async ({ params, headers, body: { prompt, metadata, webhook }, caller, reply, signal }) => {
      const original = await jobs.get(params.id, caller);
      const given = {
        prompt,
        clientId: headers['idempotency-key'] ?? '',
        metadata: toLabels(metadata),
        webhook: toWebhook(webhook),
      };
      const list = await createAll([newRemix(original, given, newJobs)], caller, reply, signal);
      return list.data[0];
    },
  );

  const finish = route(
    {
      method: 'POST',
      path: '/v1/videos/{id}/finish',
      name: 'finishVideo',
      summary:
        'Create a video that goes on from the keyframes of a completed one. Its bytes are those of a video made with this frame rate from the start.',
      scope: 'create',
      headers: createHeaders,
      params: videoId,
      body: finishFields,
      bodyIsOptional: true,
      answers: {
        200: { description: 'The new video.', schema: videoObject },
        422: keyConflict,
      },
    },
    async ({ params, headers, body: { frame_rate, format, metadata, webhook }, caller, reply, signal }) => {
      const draft = await jobs.get(params.id, caller);
      const given = {
        ...toMessage(finishOptions, { frameRate: frame_rate ?? undefined, format: format ?? undefined }),
        clientId: headers['idempotency-key'] ?? '',
        metadata: toLabels(metadata ?? draft.metadata),
        webhook: toWebhook(webhook),
      };
      const list = await createAll([newFinish(draft, given, newJobs)], caller, reply, signal);
      return list.data[0];
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

  return [create, createBatch, list, get, remix, finish, cancel, remove];

  function toNewJob(fields: z.infer<typeof createFields>, clientId: string, given: number | undefined): NewJob {
    const chosen = models.choose(fields.model ?? '', versionKey(fields, clientId), toLoras(fields.lora));
    return jobOn(chosen, (route) => newJob(toCreateRequest(fields, clientId, route.preset), route, newJobs, given));
  }

  async function createAll(
    wanted: readonly NewJob[],
    caller: Caller,
    reply: FastifyReply,
    signal: AbortSignal,
    named?: (error: unknown, index: number) => unknown,
  ) {
    const created = await jobs.createAll(wanted, caller, signal, named);
    if (created.every(({ replayed }) => replayed)) {
      reply.header('idempotent-replayed', 'true');
    }
    const data = created.map(({ job }) => toVideoObject(job, models));
    return { object: 'list', data, first_id: data[0]!.id, last_id: data.at(-1)!.id, has_more: false };
  }
}

function toFilter(query: {
  status?: keyof typeof statesOf | undefined;
  model?: string | undefined;
  metadata?: z.infer<typeof metadataField> | undefined;
  created_after?: Date | undefined;
  created_before?: Date | undefined;
}): JobFilter {
  const { status, model, metadata, created_after: createdAfter, created_before: createdBefore } = query;
  return {
    states: status && statesOf[status],
    model: model === undefined ? undefined : parseModelId(model),
    metadata: metadata && checkMetadata(Object.entries(metadata)),
    createdAfter: checkTime('created_after', createdAfter),
    createdBefore: checkTime('created_before', createdBefore),
  };
}

/** What `after` names does not exist. */
export function namedAfter(thrown: unknown): never {
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
