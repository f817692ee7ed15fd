import { z } from 'zod';
import { snakeCase } from '../../../../services/kit/field-name.ts';
import { choice, text, time, truth, wholeNumber } from '../../../../services/kit/values.ts';
import { maxPriority } from '../../../../services/pipeline/priority.ts';
import type { VideoJobs } from '../../../jobs/video-jobs.ts';
import { type KeyValues, keyFields, keyName } from '../../../keys/key-fields.ts';
import type { Models } from '../../../models/models.ts';
import type { Operator } from '../../../operator/operator.ts';
import { maxUsageDays, readRange } from '../../usage-request.ts';
import { seconds, sentence } from '../formats.ts';
import { type Route, route } from '../route.ts';
import { videoId } from '../video-object.ts';
import { namedAfter } from '../video-routes.ts';
import {
  adminActionList,
  adminFailureList,
  adminGateway,
  adminGatewayList,
  adminKey,
  adminKeyList,
  adminQueue,
  adminVideo,
  adminVideoList,
  createdKey,
  revokedKey,
} from './admin-objects.ts';
import {
  toAdminAction,
  toAdminFailure,
  toAdminGateway,
  toAdminKey,
  toAdminLine,
  toAdminVideo,
} from './to-admin-objects.ts';

interface AdminRoutesContext {
  operator: Operator;
  jobs: VideoJobs;
  models: Models;
}

const daySeconds = 86_400;
const scope = 'admin' as const;

const gatewayParams = z.strictObject({ name: z.string().describe('Name of a gateway.') });
const keyParams = z.strictObject({ key: z.string().describe('Id of a key: the 12 digits after `ff_`.') });

const keyIdMustBe = 'the id of a key (12 hexadecimal digits), or none for videos without a key';

const videosQuery = z.strictObject({
  status: choice(['queued', 'in_progress']).given.default('queued').describe('Which videos.'),
  key: z
    .string(keyIdMustBe)
    .regex(/^([0-9a-f]{12}|none)$/, keyIdMustBe)
    .optional()
    .describe('Only those of this key; `none`: those without one.'),
  limit: wholeNumber(1, 100).given.default(100).describe('Number of videos.'),
  after: text().given.optional().describe('Id of the last video on the previous page.'),
});

const keysQuery = z.strictObject({
  revoked: truth().given.default(false).describe('Also revoked keys.'),
  limit: wholeNumber(1, 1000).given.default(100).describe('Number of keys.'),
  after: text().given.optional().describe('Id of the last key on the previous page.'),
});

const revokeQuery = z.strictObject({
  keep_jobs: truth().given.default(false).describe("Whether the key's queued and running videos continue."),
});

const failuresQuery = z.strictObject({
  from: time()
    .given.optional()
    .describe(
      'Videos that failed at or after this time: a day, an ISO 8601 time or seconds since 1970. Default: a day before `to`.',
    ),
  to: time()
    .given.optional()
    .describe(`Videos that failed before this time, at most ${maxUsageDays} days later. Default: now.`),
  limit: wholeNumber(1, 1000).given.default(100).describe('Number of groups.'),
});

const actionsQuery = z.strictObject({
  limit: wholeNumber(1, 1000).given.default(100).describe('Number of actions.'),
  before: wholeNumber(1, 2_147_483_647).given.optional().describe('The last `number` of the previous page.'),
});

const priorityFields = z
  .strictObject({
    priority: wholeNumber(-maxPriority, maxPriority).given.describe("May exceed the maximum of the video's key."),
  })
  .describe('The new priority.');

/** Fields of a new key, or of changes to one. */
function keyShape(isNew: boolean): Record<string, z.ZodType> {
  return Object.fromEntries(
    Object.entries(keyFields).map(([name, { help, kind, initial }]) => [
      snakeCase(name),
      (kind.given as z.ZodType).nullish().meta({ description: sentence(help), ...(isNew && { default: initial }) }),
    ]),
  );
}

const newKeyFields = z
  .strictObject({ name: keyName.given.describe('Its owner or purpose.'), ...keyShape(true) })
  .describe('A key to create. Absent and null fields take the defaults.');

const changedKeyFields = z
  .strictObject({ name: keyName.given.nullish().describe('Its owner or purpose.'), ...keyShape(false) })
  .describe('Changes to a key. Absent and null fields keep their value.');

/** Schemas of the answers, by name in the document. */
export const adminSchemas = {
  AdminGateway: adminGateway,
  AdminGatewayList: adminGatewayList,
  AdminQueue: adminQueue,
  AdminVideo: adminVideo,
  AdminVideoList: adminVideoList,
  AdminKey: adminKey,
  AdminKeyList: adminKeyList,
  CreatedKey: createdKey,
  RevokedKey: revokedKey,
  AdminFailureList: adminFailureList,
  AdminActionList: adminActionList,
};

/** Running the service: gateways, queue and keys. */
export function adminRoutes({ operator, jobs, models }: AdminRoutesContext): Route[] {
  return [
    route(
      {
        method: 'GET',
        path: '/v1/admin/gateways',
        name: 'listGateways',
        summary: 'List the gateways on the same database.',
        scope,
        answers: { 200: { description: 'The gateways, live ones first.', schema: adminGatewayList } },
      },
      async () => ({ object: 'list', data: (await operator.gateways()).map(toAdminGateway) }),
    ),
    modeRoute(
      'pause',
      'paused',
      'Let a gateway start no more jobs. It finishes those it has, and stays paused after a restart.',
    ),
    modeRoute('drain', 'draining', 'Pause a gateway, and fail its readiness probe so that it gets no new calls.'),
    modeRoute('resume', 'active', 'Let a gateway start jobs again.'),
    route(
      {
        method: 'GET',
        path: '/v1/admin/queue',
        name: 'showQueue',
        summary: 'Show the queue by API key.',
        scope,
        answers: { 200: { description: 'The keys with videos.', schema: adminQueue } },
      },
      async () => ({ object: 'list', data: (await operator.lines()).map(toAdminLine) }),
    ),
    route(
      {
        method: 'GET',
        path: '/v1/admin/videos',
        name: 'listVideosOfAll',
        summary: 'List videos of all keys that are queued or in progress, oldest first.',
        scope,
        query: videosQuery,
        answers: { 200: { description: 'One page.', schema: adminVideoList } },
      },
      async ({ query: { status, key, limit, after }, caller }) => {
        const last = after === undefined ? 0 : await jobs.sequence(after, caller).catch(namedAfter);
        const filter = {
          states: [status === 'queued' ? ('queued' as const) : ('running' as const)],
          ...(key !== undefined && { keyId: key === 'none' ? '' : key }),
        };
        // One more than requested shows whether there is another page.
        const found = await operator.jobs({ limit: limit + 1, after: last, filter }, caller);
        const data = found.reverse().slice(0, limit);
        return {
          object: 'list',
          data: data.map((job) => toAdminVideo(job, models)),
          last_id: data.at(-1)?.job.id ?? null,
          has_more: found.length > limit,
        };
      },
    ),
    route(
      {
        method: 'POST',
        path: '/v1/admin/videos/{id}/priority',
        name: 'setPriority',
        summary: 'Set the priority of a queued video, even above the maximum of its key. The operator is recorded.',
        scope,
        params: videoId,
        body: priorityFields,
        answers: { 200: { description: 'The video.', schema: adminVideo } },
      },
      async ({ params: { id }, body: { priority }, caller }) =>
        toAdminVideo(await operator.setPriority(id, priority, caller), models),
    ),
    route(
      {
        method: 'GET',
        path: '/v1/admin/keys',
        name: 'listKeys',
        summary: 'List API keys, without their secrets.',
        scope,
        query: keysQuery,
        answers: { 200: { description: 'One page.', schema: adminKeyList } },
      },
      async ({ query: { revoked, limit, after } }) => {
        if (after !== undefined) {
          await operator.key(after).catch(namedAfter);
        }
        const found = await operator.keys({ limit: limit + 1, after, onlyInForce: !revoked });
        const data = found.slice(0, limit).map(toAdminKey);
        return { object: 'list', data, last_id: data.at(-1)?.id ?? null, has_more: found.length > limit };
      },
    ),
    route(
      {
        method: 'POST',
        path: '/v1/admin/keys',
        name: 'createKey',
        summary: 'Create an API key. From the first one on, every caller needs one.',
        scope,
        body: newKeyFields,
        answers: { 200: { description: 'The key, with its secret.', schema: createdKey } },
      },
      async ({ body: { name, ...fields }, caller }) => {
        const { text: key, ...created } = await operator.createKey({ ...toValues(fields), name }, caller);
        return { ...toAdminKey(created), key };
      },
    ),
    route(
      {
        method: 'GET',
        path: '/v1/admin/keys/{key}',
        name: 'getKey',
        summary: 'Get an API key, without its secret.',
        scope,
        params: keyParams,
        answers: { 200: { description: 'The key.', schema: adminKey } },
      },
      async ({ params }) => toAdminKey(await operator.key(params.key)),
    ),
    route(
      {
        method: 'POST',
        path: '/v1/admin/keys/{key}',
        name: 'updateKey',
        summary: 'Change an API key. It takes effect at every gateway within seconds.',
        scope,
        params: keyParams,
        body: changedKeyFields,
        answers: { 200: { description: 'The changed key.', schema: adminKey } },
      },
      async ({ params, body, caller }) => toAdminKey(await operator.updateKey(params.key, toValues(body), caller)),
    ),
    route(
      {
        method: 'POST',
        path: '/v1/admin/keys/{key}/revoke',
        name: 'revokeKey',
        summary: 'Revoke an API key and cancel its videos. It takes effect at every gateway within seconds.',
        scope,
        params: keyParams,
        query: revokeQuery,
        answers: { 200: { description: 'The revoked key.', schema: revokedKey } },
      },
      async ({ params, query, caller }) => {
        const { cancelled, ...revoked } = await operator.revokeKey(params.key, query.keep_jobs, caller);
        return { ...toAdminKey(revoked), cancelled };
      },
    ),
    route(
      {
        method: 'GET',
        path: '/v1/admin/failures',
        name: 'listFailures',
        summary: 'Count failed videos by reason and model, deleted ones included.',
        scope,
        query: failuresQuery,
        answers: { 200: { description: 'The most frequent reasons first.', schema: adminFailureList } },
      },
      async ({ query }) => {
        const { from, to } = readRange(query, (end) => new Date(end.getTime() - 1000 * daySeconds));
        const failures = await operator.failures(from, to, query.limit);
        return { object: 'list', data: failures.map(toAdminFailure), from: seconds(from), to: seconds(to) };
      },
    ),
    route(
      {
        method: 'GET',
        path: '/v1/admin/actions',
        name: 'listActions',
        summary: 'List the actions of operators through the API.',
        scope,
        query: actionsQuery,
        answers: { 200: { description: 'One page, latest first.', schema: adminActionList } },
      },
      async ({ query: { limit, before } }) => {
        const found = await operator.actions(limit + 1, before);
        return { object: 'list', data: found.slice(0, limit).map(toAdminAction), has_more: found.length > limit };
      },
    ),
  ];

  function modeRoute(verb: string, mode: 'active' | 'paused' | 'draining', summary: string): Route {
    return route(
      {
        method: 'POST',
        path: `/v1/admin/gateways/{name}/${verb}`,
        name: `${verb}Gateway`,
        summary,
        scope,
        params: gatewayParams,
        answers: { 200: { description: 'The gateway.', schema: adminGateway } },
      },
      async ({ params: { name }, caller }) => toAdminGateway(await operator.setMode(name, mode, caller)),
    );
  }
}

/** The values that were given. */
function toValues(body: object): Partial<KeyValues> {
  const fields = body as Record<string, unknown>;
  const given = ['name', ...Object.keys(keyFields)].flatMap((name) => {
    const value = fields[snakeCase(name)] ?? undefined;
    return value === undefined ? [] : [[name, value]];
  });
  return Object.fromEntries(given) as Partial<KeyValues>;
}
