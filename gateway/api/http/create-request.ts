import { z } from 'zod';
import { CreateVideoRequest, type VideoSettings, type Webhook } from '../../../proto/gen/fusionframes/v1/video.ts';
import { FusionError, invalidField, renameField } from '../../../services/kit/errors.ts';
import { fieldName } from '../../../services/kit/field-name.ts';
import { decimalNumber, maxTimeSeconds, seedsFrom, text, truth, wholeNumber } from '../../../services/kit/values.ts';
import { listOptions, mapOptions, toMessage } from '../../../services/pipeline/options.ts';
import type { Preset } from '../../../services/pipeline/preset.ts';
import { maxPriority } from '../../../services/pipeline/priority.ts';
import { webhookEvents } from '../../jobs/job.ts';
import type { VersionKey } from '../../models/models.ts';
import { clientIdsOf, maxBatch } from '../batch.ts';
import { chooseFrameRate, type FrameRateFields } from './choose-frame-rate.ts';
import { inputReferenceField } from './input-reference.ts';
import { keyframesField } from './keyframes-field.ts';
import { askedLoras, toLoras } from './lora-fields.ts';
import { requestFields, requestOptions } from './option-fields.ts';

const count = wholeNumber(1, maxBatch).given;

const size = 'width x height in pixels, such as 512x512';

const eventsMustBe = `a list of one or more of ${webhookEvents.join(', ')}`;

/** Forms have a text. */
const events = z
  .union(
    [
      z.array(z.string(eventsMustBe), eventsMustBe).min(1, eventsMustBe),
      z.string().transform((list) => list.split(/\s*,\s*/)),
    ],
    eventsMustBe,
  )
  .describe('When to call: one or more of queued, running, completed, failed. Default: completed and failed.');

export const metadataField = z.record(z.string(), text().given, 'an object of strings');

/** The contract's labels. */
export function toLabels(given: z.infer<typeof metadataField> | null | undefined): Map<string, string> {
  return new Map(Object.entries(given ?? {}));
}

const webhookField = z
  .strictObject(
    { url: text('an http or https URL').given, secret: text().given, events: events.nullish() },
    'an object of url and secret',
  )
  .nullish()
  .describe('URL to call when the video ends, or for other events, with a signature made with the secret.');

/** The contract's webhook. */
export function toWebhook(given: z.infer<typeof webhookField>): Webhook | undefined {
  return given ? { ...given, events: given.events ?? [] } : undefined;
}

/** Fields besides the video's options; some are alternative spellings used by other clients. */
const otherFields = {
  model: text('the id of a model in /v1/models')
    .given.nullish()
    .describe('Id of a model in /v1/models. Default: the first.'),
  lora: askedLoras,
  size: z
    .string(size)
    .regex(/^[1-9]\d{0,4}x[1-9]\d{0,4}$/, size)
    .nullish()
    .describe('Width x height in pixels, within the limits of the preset: another way to set both.'),
  num_frames: wholeNumber(1, 1_000_000)
    .given.nullish()
    .describe('Number of frames: selects the frame rate with that number.'),
  fps: decimalNumber(0, 1000)
    .given.nullish()
    .describe('Frames per second: selects the frame rate with that playback speed.'),
  seconds: decimalNumber(0, 86_400)
    .given.nullish()
    .describe('Length in seconds: selects the frame rate with that length, see /v1/presets.'),
  n: count
    .nullish()
    .describe(
      'Number of videos. With a seed s they have s, s + 1 and so on; without one, each has its own. The response of several is a list. Default: 1.',
    ),
  num_videos_per_prompt: count.nullish().describe('Another name of `n`.'),
  stream: z
    .union([z.literal(false), z.string('false').regex(/^false$/i, 'false')], 'false')
    .nullish()
    .describe('Must be false: a video is followed at /v1/videos/{id}/events.'),
  user: text().given.nullish().describe('Accepted because clients send it; has no effect.'),
  priority: wholeNumber(-maxPriority, maxPriority)
    .given.nullish()
    .describe(
      'Of the videos of one API key, those with a higher priority start first. Default: 0, or the maximum of the key if that is lower.',
    ),
  previews: truth()
    .given.nullish()
    .describe('Also decode a preview and the storyboard as early as possible. Default: false.'),
  deadline: wholeNumber(
    0,
    maxTimeSeconds,
    `a time in whole seconds since 1970, at most ${maxTimeSeconds} (the year 2286)`,
  )
    .given.nullish()
    .describe(
      'The video fails if it is not completed by this time, in seconds since 1970. Refused if it cannot be met. Default: none.',
    ),
  input_reference: inputReferenceField.nullish(),
  keyframes: keyframesField.nullish(),
  webhook: webhookField,
  metadata: metadataField
    .nullish()
    .describe(
      'Your own labels, strings by name: at most 16, with names of at most 64 and values of at most 512 characters.',
    ),
};

/** Fields that determine a video. */
export const createFields = z
  .strictObject({ ...requestFields(), ...otherFields }, 'an object with at least a prompt')
  .describe(
    'A video to create. Absent and null fields take the defaults of the preset; a field of any other name must be null.',
  );

type OtherFields = z.infer<z.ZodObject<typeof otherFields>>;
type CreateFields = Record<string, unknown> & OtherFields;

/** How many videos a request asks for. Throws INVALID_ARGUMENT if its two names for that have different values. */
export function countOf({ n, num_videos_per_prompt: other }: OtherFields): number {
  return (agreed('n', n ?? undefined, 'num_videos_per_prompt', other) as number | undefined) ?? 1;
}

/**
 * The fields and client id of each video that a request asks for. With a seed s, they have s, s + 1 and so on. Throws
 * INVALID_ARGUMENT for a seed that leaves too few.
 */
export function eachVideo<F extends CreateFields>(fields: F, clientId: string): [F, string][] {
  const count = countOf(fields);
  const seed = fields.seed as bigint | null | undefined;
  const seeds = seed == null ? undefined : seedsFrom('seed', seed, count);
  const idOf = clientIdsOf(clientId, 'n');
  return Array.from({ length: count }, (_, index) => [
    { ...fields, ...(seeds && { seed: seeds[index] }) },
    // A request for one video has the client id itself: the same for several is another request.
    index === 0 ? clientId : idOf(index),
  ]);
}

/** What decides the version of the model, see `Models.choose()`. */
export function versionKey(fields: CreateFields, clientId: string): VersionKey {
  return { prompt: fields.prompt as string, seed: (fields.seed as bigint | null | undefined) ?? undefined, clientId };
}

/** Converts an HTTP create request to the contract's. Throws INVALID_ARGUMENT for a length that the preset does not offer. */
export function toCreateRequest(fields: CreateFields, clientId: string, preset: Preset): CreateVideoRequest {
  return CreateVideoRequest.fromPartial({
    clientId,
    settings: toSettings(fields, preset),
    model: fields.model ?? '',
    lora: toLoras(fields.lora),
    ...(fields.priority != null && { priority: fields.priority }),
    previews: fields.previews ?? false,
    ...(fields.deadline != null && { deadline: new Date(1000 * fields.deadline) }),
    metadata: toLabels(fields.metadata),
    ...(fields.webhook && { webhook: toWebhook(fields.webhook) }),
    ...(fields.input_reference != null && { inputReference: fields.input_reference }),
    ...(fields.keyframes != null && { keyframes: fields.keyframes }),
  });
}

function toSettings(fields: CreateFields, preset: Preset): Partial<VideoSettings> {
  const given: Record<string, unknown> = {
    ...withoutSynonyms(fields),
    ...sides(fields),
    frame_rate: chooseFrameRate(fields as FrameRateFields, preset),
  };
  const values = mapOptions(requestOptions, ({ name }) => given[name] ?? undefined);
  return toMessage(requestOptions, values);
}

/** Throws INVALID_ARGUMENT if an option is given under two names with different values. */
function withoutSynonyms(fields: CreateFields): Record<string, unknown> {
  const given: Record<string, unknown> = { ...fields };
  for (const { option } of listOptions(requestOptions)) {
    for (const synonym of option.synonyms ?? []) {
      given[option.name] = agreed(option.name, given[option.name], synonym, given[synonym]);
    }
  }
  return given;
}

/** Throws INVALID_ARGUMENT if the size contradicts width or height. */
function sides(fields: CreateFields): Record<string, unknown> {
  const [width, height] = fields.size?.split('x').map(Number) ?? [];
  return {
    width: agreed('size', width, 'width', fields.width),
    height: agreed('size', height, 'height', fields.height),
  };
}

function agreed(name: string, value: unknown, otherName: string, other: unknown): unknown {
  if ((value ?? other ?? undefined) !== (other ?? value ?? undefined)) {
    throw invalidField(otherName, other, `the same as \`${name}\`, ${value}, or absent`);
  }
  return value ?? other;
}

/** Request names of fields that are named differently in the contract. */
const names = new Map(listOptions(requestOptions).map(({ option, path }) => [fieldName(path), option.name]));

/** Renames a contract field in an error to the name that the request used. */
export function byRequestName(thrown: unknown, given: Readonly<Record<string, unknown>>): unknown {
  if (!(thrown instanceof FusionError) || !thrown.field) {
    return thrown;
  }
  const { field } = thrown;
  const name = nameIn(given, names.get(field) ?? field);
  const shown = name === 'size' ? `The ${field} of \`size\`` : undefined;
  return name === field ? thrown : renameField(thrown, name, shown);
}

/** Which name of an option a request uses. */
function nameIn(given: Readonly<Record<string, unknown>>, name: string): string {
  const { synonyms = [] } = listOptions(requestOptions).find(({ option }) => option.name === name)?.option ?? {};
  const isSide = name === 'width' || name === 'height';
  const others = [...synonyms, ...(isSide ? ['size'] : [])];
  return (given[name] ?? undefined) === undefined ? (others.find((other) => given[other] != null) ?? name) : name;
}
