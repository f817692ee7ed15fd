import { z } from 'zod';
import { snakeCase } from '../../../../services/kit/field-name.ts';
import { stageNames } from '../../../../services/pipeline/stages.ts';
import { gatewayModes } from '../../../jobs/store/gateways.ts';
import { keyFields, keyName } from '../../../keys/key-fields.ts';
import { actionNames } from '../../../operator/actions.ts';
import { sentence } from '../formats.ts';
import { videoObject } from '../video-object.ts';

const time = z.int().describe('Seconds since 1970.');
const count = z.int().min(0);
const keyId = z.string().describe('Id of the API key; empty: without one.');

function listOf<T extends z.ZodType>(item: T) {
  return z.strictObject({ object: z.literal('list'), data: z.array(item) });
}

export const adminGateway = z
  .strictObject({
    object: z.literal('admin.gateway'),
    name: z.string(),
    mode: z
      .enum(gatewayModes)
      .describe(
        'active: it starts jobs. paused: it starts none and finishes those it has. draining: its readiness probe also fails, so that it gets no new calls.',
      ),
    mode_since: time,
    alive: z.boolean().describe('Whether it has reported recently.'),
    running: count.describe('Number of videos it is making.'),
    started_at: time,
    seen_at: time.describe('When it last reported, in seconds since 1970.'),
  })
  .describe('A gateway on the same database.');

export const adminGatewayList = listOf(adminGateway);

export const adminQueue = listOf(
  z.strictObject({
    object: z.literal('admin.line'),
    key: keyId,
    name: z.string().describe('Name of the key.'),
    share: z.int().min(1),
    queued: count,
    running: count,
    oldest_at: time.nullable().describe('When the first of its queued videos was created.'),
    held_by: z
      .enum(['concurrent_jobs', 'budget'])
      .nullable()
      .describe("Why none of its queued videos starts: the key's limit of running ones, or its budget."),
  }),
).describe('The keys with videos that are queued or in progress, most queued ones first; at most 500.');

export const adminVideo = z
  .strictObject({
    object: z.literal('admin.video'),
    key: keyId,
    key_name: z.string(),
    gateway: z.string().nullable().describe('Name of the gateway that works on it.'),
    changed_at: time.describe('When anything last changed, in seconds since 1970.'),
    priority_by: z
      .strictObject({ key: keyId, before: z.int() })
      .nullable()
      .describe('The operator who last set its priority, and what it was before.'),
    video: videoObject,
  })
  .describe('A video, and what operators see of it.');

export const adminVideoList = listOf(adminVideo)
  .extend({ last_id: z.string().nullable(), has_more: z.boolean() })
  .describe('One page, oldest first.');

type FieldName = keyof typeof keyFields;
type Snake<S extends string> = S extends `${infer A}${infer B}`
  ? `${A extends Lowercase<A> ? A : `_${Lowercase<A>}`}${Snake<B>}`
  : S;
type PlainField = Exclude<FieldName, 'budgets'>;
export type KeyShape = { [N in PlainField as Snake<N>]: (typeof keyFields)[N]['kind']['json'] };

const keyShape = Object.fromEntries(
  Object.entries(keyFields)
    .filter(([name]) => name !== 'budgets')
    .map(([name, { kind, help }]) => [snakeCase(name), kind.json.describe(sentence(help))]),
) as unknown as KeyShape;

export const adminKey = z
  .strictObject({
    object: z.literal('admin.key'),
    id: z.string().regex(/^[0-9a-f]{12}$/),
    name: keyName.json,
    ...keyShape,
    budgets: z.array(
      z.strictObject({
        budget: z.string().describe('Such as 100-videos/day.'),
        used: z.number().min(0).describe('Of its amount; queued and running jobs count as videos.'),
        resets_at: time,
      }),
    ),
    queued: count.describe('Its queued videos.'),
    running: count.describe('Its videos in progress.'),
    created_at: time,
    last_used_at: time.nullable().describe('To the minute, in seconds since 1970.'),
    revoked_at: time.nullable(),
  })
  .describe('An API key, without its secret.');

export const adminKeyList = listOf(adminKey)
  .extend({ last_id: z.string().nullable(), has_more: z.boolean() })
  .describe('One page, oldest first.');

export const createdKey = adminKey
  .extend({ key: z.string().describe('The key itself. It is not shown again.') })
  .describe('A new API key.');

export const revokedKey = adminKey
  .extend({ cancelled: count.describe('Number of its videos that were cancelled.') })
  .describe('A revoked API key.');

export const adminFailureList = listOf(
  z.strictObject({
    object: z.literal('admin.failure'),
    reason: z.string().describe('Kind of fault, such as `prediction_not_finite`.'),
    model: z.string(),
    count: count.describe('Videos that failed.'),
    keys: count.describe('Of how many keys.'),
    last_at: time,
    last_video: z.string().describe('Id of the latest one.'),
    stage: z.enum(stageNames).nullable().describe('Its stage.'),
    message: z.string().nullable().describe('What went wrong with it; null if it has been deleted.'),
  }),
)
  .extend({ from: time, to: time })
  .describe('Failures by reason and model, the most frequent first.');

export const adminActionList = listOf(
  z.strictObject({
    object: z.literal('admin.action'),
    number: z.int().min(1),
    at: time,
    key: keyId,
    key_name: z.string(),
    action: z.enum(actionNames),
    target: z.string().describe("Its target: a gateway's name, or the id of a key or video."),
    details: z.record(z.string(), z.unknown()),
  }),
)
  .extend({ has_more: z.boolean() })
  .describe('Actions of operators through the API, latest first.');

export type AdminGateway = z.infer<typeof adminGateway>;
export type AdminQueue = z.infer<typeof adminQueue>;
export type AdminVideo = z.infer<typeof adminVideo>;
export type AdminVideoList = z.infer<typeof adminVideoList>;
export type AdminKey = z.infer<typeof adminKey>;
export type AdminKeyList = z.infer<typeof adminKeyList>;
export type CreatedKey = z.infer<typeof createdKey>;
export type RevokedKey = z.infer<typeof revokedKey>;
export type AdminFailureList = z.infer<typeof adminFailureList>;
export type AdminActionList = z.infer<typeof adminActionList>;
