import { createHash } from 'node:crypto';
import { Status } from 'nice-grpc-common';
import { CreateVideoRequest, type GivenKeyframes, type InputReference } from '../../proto/gen/fusionframes/v1/video.ts';
import { FusionError, invalidField } from '../../services/kit/errors.ts';
import { requireTakesPicture } from '../../services/pipeline/first-frame.ts';
import { checkKeyframeCount } from '../../services/pipeline/given-keyframes.ts';
import type { Preset } from '../../services/pipeline/preset.ts';
import { checkPriority } from '../../services/pipeline/priority.ts';
import type { JobSettings } from '../../services/pipeline/video-options.ts';
import type { NewJob, PictureSource } from '../jobs/job.ts';
import { framesOf } from '../jobs/video-work.ts';
import type { ModelRoute } from '../models/model-route.ts';
import type { Models } from '../models/models.ts';
import { clientIdsOf } from './batch.ts';
import { checkClientId, checkMetadata, checkTime, resolveWebhook } from './job-options.ts';
import { resolveSettings } from './resolve-settings.ts';

export interface NewJobContext {
  models: Models;
  /** Whether webhooks may call this machine and link-local addresses. */
  localWebhooks: boolean;
}

/** The job that a request of the contract asks for, see {@link newJob} and `Models.choose()` for the errors. */
export function requestedJob(request: CreateVideoRequest, context: NewJobContext, givenKeyframes?: number): NewJob {
  const { prompt = '', seed } = request.settings ?? {};
  const key = { prompt, seed, clientId: request.clientId };
  const chosen = context.models.choose(request.model, key, request.lora);
  return jobOn(chosen, (route) => newJob(request, route, context, givenKeyframes));
}

/** The job that `make` makes for the chosen route; it is refused as the route was, unless it exists already. */
export function jobOn({ route, refusal }: ReturnType<Models['choose']>, make: (route: ModelRoute) => NewJob): NewJob {
  try {
    return { ...make(route), refusal };
  } catch (error) {
    throw refusal ?? error;
  }
}

/** What of the settings has no effect. */
function settingsWarnings({ negativePrompt, keyframes, givenKeyframes }: JobSettings): string[] {
  const isIgnored = negativePrompt !== '' && keyframes.guidanceScale === 0 && givenKeyframes === undefined;
  return isIgnored ? ['`negative_prompt` has no effect, because `guidance_scale` is 0'] : [];
}

/**
 * Converts an HTTP or gRPC request to a job.
 * Throws INVALID_ARGUMENT naming the field, what was given and what is allowed.
 *
 * @param route of the model that the request names
 * @param givenKeyframes how many keyframes the request gives, see `countGiven()`
 */
export function newJob(
  request: CreateVideoRequest,
  { preset, version, warnings, loras = [] }: ModelRoute,
  { models, localWebhooks }: NewJobContext,
  givenKeyframes?: number,
): NewJob {
  if (givenKeyframes !== undefined) {
    checkKeyframeCount(givenKeyframes, preset);
  }
  const settings = {
    ...resolveSettings(request.settings, preset),
    ...(givenKeyframes !== undefined && { givenKeyframes }),
    ...(loras.length > 0 && { loras }),
  };
  return {
    model: preset.name,
    version,
    settings,
    picture: readKeyframes(request) ?? readPicture(request.inputReference, preset),
    continues: '',
    frames: framesOf(settings, preset),
    clientId: checkClientId('client_id', request.clientId),
    otherClientId: clientIdsOf(request.clientId)(0),
    fingerprint: fingerprint(request, models),
    warnings: [...warnings, ...settingsWarnings(settings)],
    priority: checkPriority(request.priority ?? 0),
    isPriorityGiven: request.priority !== undefined,
    webhook: resolveWebhook(request.webhook, localWebhooks),
    previews: request.previews,
    deadline: checkTime('deadline', request.deadline),
    metadata: checkMetadata(request.metadata),
    remixOf: '',
    refusal: undefined,
  };
}

/** Throws INVALID_ARGUMENT for keyframes beside a picture. */
function readKeyframes({ keyframes, inputReference }: CreateVideoRequest): PictureSource | undefined {
  if (keyframes && inputReference) {
    throw new FusionError(
      Status.INVALID_ARGUMENT,
      '`keyframes` and `input_reference` cannot be combined: the first keyframe is already the first frame',
      { reason: 'INVALID_FIELD', field: 'keyframes' },
    );
  }
  if (!keyframes) {
    return undefined;
  }
  const { files, videoId } = keyframes;
  return videoId === ''
    ? { kind: 'keyframes', files, sha256: files.map(hashOf).join(' ') }
    : { kind: 'frame', video: videoId, frame: undefined };
}

/** Throws INVALID_ARGUMENT naming the field, also for a preset that continues no picture. */
function readPicture(given: InputReference | undefined, preset: Preset): PictureSource | undefined {
  if (!given) {
    return undefined;
  }
  requireTakesPicture(preset);
  switch (given.source?.$case) {
    case 'file':
      return { kind: 'file', bytes: given.source.value, sha256: hashOf(given.source.value) };
    case 'frame':
      return { kind: 'frame', video: given.source.value.videoId, frame: given.source.value.frame };
    default:
      throw invalidField('input_reference', undefined, 'a file or a frame of a video');
  }
}

/** Hashes of files, because all videos of one request may share a large one. */
const hashes = new WeakMap<Uint8Array, string>();

function hashOf(file: Uint8Array): string {
  const hash = hashes.get(file) ?? createHash('sha256').update(file).digest('hex');
  hashes.set(file, hash);
  return hash;
}

/** The keyframes with the files' hashes instead of the files. */
function hashedKeyframes(keyframes: GivenKeyframes | undefined): GivenKeyframes | undefined {
  return keyframes && { ...keyframes, files: keyframes.files.map((file) => Buffer.from(hashOf(file), 'hex')) };
}

/** The picture with a file's hash instead of the file. */
function hashed(picture: InputReference | undefined): InputReference | undefined {
  return picture?.source?.$case === 'file'
    ? { source: { $case: 'file', value: Buffer.from(hashOf(picture.source.value), 'hex') } }
    : picture;
}

/**
 * A hash of the request, equal for equal requests even if they leave the seed or the model's version open. The deadline
 * does not count: it is often given from now, and does not change the video.
 */
function fingerprint(request: CreateVideoRequest, models: Models): string {
  const isDefault = request.model === models.default.preset.name;
  const encoded = CreateVideoRequest.encode({
    ...request,
    clientId: '',
    deadline: undefined,
    inputReference: hashed(request.inputReference),
    keyframes: hashedKeyframes(request.keyframes),
    // As it was encoded when 0 could not be told from no priority.
    priority: request.priority || undefined,
    metadata: new Map([...request.metadata].sort()),
    ...(isDefault && { model: '' }),
  }).finish();
  return createHash('sha256').update(encoded).digest('hex');
}
