import { z } from 'zod';
import type { NewVideo } from '../../gateway/client/video-client.ts';
import { webhookEvents } from '../../gateway/jobs/job.ts';
import { FusionError, invalidField, renameField } from '../../services/kit/errors.ts';
import { fieldName } from '../../services/kit/field-name.ts';
import { wholeNumber } from '../../services/kit/values.ts';
import { maxLoras } from '../../services/pipeline/loras.ts';
import {
  defaultText,
  listOptions,
  mapOptions,
  optionalMustBe,
  optionalValue,
} from '../../services/pipeline/options.ts';
import { maxPriority } from '../../services/pipeline/priority.ts';
import { videoOptions } from '../../services/pipeline/video-options.ts';
import { deadlineMustBe, parseDeadline } from '../deadline.ts';
import { readImageFile } from '../read-image.ts';
import { readKeyframeFiles } from '../read-keyframes.ts';
import { fileBelow } from './file-below.ts';

/** A caller's own facts about a video. */
export const factsField = z.record(z.string(), z.string());

/** Single frames are not among the files that can be downloaded here. */
const { keepFrames: _, prompt, ...optional } = videoOptions;
const offered = { prompt, ...optional };

/** The arguments that describe a new video: the options by their names over HTTP, and what concerns the job. */
export const newVideoFields = z.strictObject({
  [prompt.name]: prompt.kind.given.describe(`${prompt.help}; ${prompt.kind.mustBe}`),
  ...Object.fromEntries(
    listOptions(optional).map(({ option }) => {
      const help = `${option.help}; ${optionalMustBe(option)} (default: ${defaultText(option)})`;
      return [option.name, optionalValue(option).optional().describe(help)];
    }),
  ),
  input_reference: z
    .union(
      [
        z.strictObject({ path: z.string().describe('a picture below the folder of this server') }),
        z.strictObject({
          video_id: z.string().describe('an earlier video'),
          frame: z.int().min(0).optional().describe('one of its frames, from 0 (default: the picture it began with)'),
        }),
        z.string().describe('a data URL of a picture, in base64'),
      ],
      'an object of `path`, an object of `video_id` and `frame`, or a data URL of a picture',
    )
    .optional()
    .describe('the picture that the video begins with, for models that continue one: PNG, JPEG, WebP or AVIF'),
  keyframes: z
    .union(
      [
        z.strictObject({
          path: z.string().describe('a clip, or a folder of numbered pictures, below the folder of this server'),
        }),
        z.strictObject({ video_id: z.string().describe('an earlier video: the keyframes that it was given') }),
        z.string().describe('a data URL of a clip, in base64'),
        z.array(z.string()).describe('data URLs of 2 or more pictures, in base64'),
      ],
      'an object of `path`, an object of `video_id`, a data URL of a clip, or a list of data URLs of pictures',
    )
    .optional()
    .describe(
      'interpolate between these instead of making keyframes: a clip (MP4, MOV, WebM or animated WebP) or pictures, at most as many as the model has keyframes',
    ),
  model: z.string().optional().describe('id of a model of list_models (default: the first)'),
  lora: z
    .array(z.strictObject({ name: z.string(), scale: z.number().optional() }))
    .max(maxLoras)
    .optional()
    .describe('LoRAs of a version in list_models, which then makes the video (default: none)'),
  priority: wholeNumber(-maxPriority, maxPriority)
    .given.optional()
    .describe(
      `of the videos of one API key, those with a higher priority start first; -${maxPriority} to ${maxPriority} (default: 0, or the maximum of the key if that is lower)`,
    ),
  deadline: z.string().optional().describe(`the video fails unless it is finished by then: ${deadlineMustBe}`),
  metadata: factsField.optional().describe('your own facts about the video, by which list_videos filters'),
  webhook: z
    .strictObject({
      url: z.string().describe('an http or https URL that the gateway calls'),
      secret: z.string().describe('signs the calls (Standard Webhooks)'),
      events: z.array(z.enum(webhookEvents)).min(1).optional().describe('when to call (default: completed and failed)'),
    })
    .optional()
    .describe('a URL to call when the video has ended'),
  idempotency_key: z.string().optional().describe('a repeated request with the same key returns the same video'),
});

type Given = z.output<typeof newVideoFields>;

/**
 * The request for a video. Throws INVALID_ARGUMENT for a deadline that is not a time and for files that cannot be read.
 *
 * @param folder where files may be read; absent: nowhere
 */
export async function toNewVideo(
  { input_reference, keyframes, ...given }: Given,
  folder: string | undefined,
): Promise<NewVideo> {
  const picture = input_reference && (await readReference(input_reference, folder));
  const givenKeyframes = keyframes && (await readKeyframes(keyframes, folder));
  return {
    ...toTextVideo(given),
    ...(picture && { inputReference: picture }),
    ...(givenKeyframes && { givenKeyframes }),
  };
}

async function readReference(
  given: NonNullable<Given['input_reference']>,
  folder: string | undefined,
): Promise<NonNullable<NewVideo['inputReference']>> {
  if (typeof given === 'string') {
    return decodeUrl(given, 'input_reference', 'a data URL of a picture in base64');
  }
  if ('video_id' in given) {
    return { videoId: given.video_id, ...(given.frame !== undefined && { frame: given.frame }) };
  }
  const { path } = given;
  return readImageFile(await located(folder, path, 'input_reference'), 'input_reference');
}

async function readKeyframes(
  given: NonNullable<Given['keyframes']>,
  folder: string | undefined,
): Promise<NonNullable<NewVideo['givenKeyframes']>> {
  if (typeof given === 'string' || Array.isArray(given)) {
    return [given].flat().map((url) => decodeUrl(url, 'keyframes', 'data URLs in base64'));
  }
  if ('video_id' in given) {
    return { videoId: given.video_id };
  }
  const locate = (path: string) => located(folder, path, 'keyframes');
  return readKeyframeFiles(await locate(given.path), 'keyframes', locate);
}

function located(folder: string | undefined, path: string, field: string): Promise<string> {
  if (folder === undefined) {
    throw invalidField(field, path, 'a video or a data URL: this server was started without --folder');
  }
  return fileBelow(folder, path, field);
}

function decodeUrl(url: string, field: string, mustBe: string): Uint8Array {
  const base64 = /^data:[^,]{0,100};base64,([A-Za-z0-9+/]*={0,2})$/i.exec(url)?.[1];
  if (base64 === undefined) {
    throw invalidField(field, url, mustBe);
  }
  return Buffer.from(base64, 'base64');
}

function toTextVideo({
  model,
  lora,
  priority,
  deadline,
  metadata,
  webhook,
  idempotency_key,
  ...given
}: Omit<Given, 'input_reference' | 'keyframes'>): NewVideo {
  const values: Record<string, unknown> = given;
  return {
    ...mapOptions(offered, ({ name }) => values[name]),
    ...(model !== undefined && { model }),
    ...(lora && { lora }),
    ...(priority !== undefined && { priority }),
    ...(deadline !== undefined && { deadline: parseDeadline(deadline, Date.now(), 'deadline') }),
    ...(metadata && { metadata }),
    ...(webhook && { webhook }),
    ...(idempotency_key !== undefined && { idempotencyKey: idempotency_key }),
  } as NewVideo;
}

const names = new Map([
  ['client_id', 'idempotency_key'],
  ...listOptions(offered).map(({ option, path }): [string, string] => [fieldName(path), option.name]),
]);

/** An error of the gateway by the name of the argument at fault. */
export function byArgumentName(thrown: unknown): unknown {
  const field = thrown instanceof FusionError ? thrown.field : undefined;
  const name = field === undefined ? undefined : names.get(field);
  return name === undefined || name === field ? thrown : renameField(thrown as FusionError, name);
}
