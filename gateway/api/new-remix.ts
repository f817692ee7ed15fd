import { Status } from 'nice-grpc-common';
import {
  CreateVideoRequest,
  type FinishVideoRequest,
  type RemixVideoRequest,
  VideoSettings,
} from '../../proto/gen/fusionframes/v1/video.ts';
import { either } from '../../services/kit/either.ts';
import { FusionError } from '../../services/kit/errors.ts';
import { loraText } from '../../services/pipeline/loras.ts';
import { toMessage } from '../../services/pipeline/options.ts';
import { videoOptions } from '../../services/pipeline/video-options.ts';
import type { Job, NewJob } from '../jobs/job.ts';
import { wrongState } from '../jobs/job-errors.ts';
import type { Models } from '../models/models.ts';
import { type NewJobContext, requestedJob } from './new-job.ts';

/** What a job that repeats another one has of its own. */
type OwnFacts = Omit<RemixVideoRequest, 'id' | 'prompt'>;

/**
 * A job with the settings, seed, picture, model, LoRAs and previews of another one and a new prompt. If the version takes no new
 * videos, another one of the model with the same LoRAs makes it. Throws FAILED_PRECONDITION if this release cannot read those
 * settings, INVALID_ARGUMENT as `newJob()` does, and refuses with FAILED_PRECONDITION if there is no such version.
 */
export function newRemix(
  original: Job,
  { prompt, ...own }: Omit<RemixVideoRequest, 'id'>,
  context: NewJobContext,
): NewJob {
  return repeat(original, { prompt }, own, context.models.forAnother(original, original.settings.loras), context);
}

/**
 * A job that goes on from a video's keyframes: the same settings, seed, picture and priority with another frame rate. Throws
 * FAILED_PRECONDITION unless the video has succeeded and its version of the model takes new videos.
 */
export function newFinish(
  draft: Job,
  { frameRate, format, ...own }: Partial<Pick<FinishVideoRequest, 'frameRate' | 'format'>> & OwnFacts,
  context: NewJobContext,
): NewJob {
  if (draft.state !== 'succeeded') {
    throw wrongState(draft, 'succeeded');
  }
  const changes = { frameRate: frameRate ?? 0, ...(format && { format }) };
  // Another version of the model would make other frames.
  const version = { model: context.models.idOf(draft), lora: draft.settings.loras ?? [] };
  const job = repeat(draft, changes, own, version, context);
  // An operator may have raised it above the maximum of the key.
  return { ...job, priority: draft.priority, continues: draft.id };
}

/** The picture or the keyframes that a video was given. */
function picturesOf({ id, settings }: Job): Partial<Parameters<typeof CreateVideoRequest.fromPartial>[0]> {
  return settings.givenKeyframes === undefined
    ? { inputReference: { source: { $case: 'frame', value: { videoId: id } } } }
    : { keyframes: { videoId: id } };
}

function repeat(
  original: Job,
  changes: Partial<VideoSettings>,
  { clientId, webhook, metadata }: OwnFacts,
  { model, lora }: ReturnType<Models['forAnother']>,
  context: NewJobContext,
): NewJob {
  if (original.settingsFault !== undefined) {
    throw new FusionError(Status.FAILED_PRECONDITION, `Only a newer release knows it: ${original.settingsFault}`);
  }
  const settings = VideoSettings.fromPartial({ ...toMessage(videoOptions, original.settings), ...changes });
  const request = CreateVideoRequest.fromPartial({
    clientId,
    settings,
    model,
    lora: [...lora],
    previews: original.previews,
    metadata,
    ...(webhook && { webhook }),
    ...(original.picture && picturesOf(original)),
  });
  const named = <E>(error: E) => aboutOriginal(error, original, context);
  try {
    const job = requestedJob(request, context, original.settings.givenKeyframes);
    return { ...job, remixOf: original.id, refusal: job.refusal && named(job.refusal) };
  } catch (error) {
    throw named(error);
  }
}

/** An error about the model or its LoRAs, which the request took from the original. */
function aboutOriginal<E>(error: E, original: Job, { models }: NewJobContext): E | FusionError {
  if (!(error instanceof FusionError)) {
    return error;
  }
  const { id, model, settings } = original;
  const refused = (message: string) =>
    new FusionError(Status.FAILED_PRECONDITION, message, { reason: error.reason, field: 'id', cause: error });
  if (error.field === 'lora') {
    const there = models.lorasOf(model).map(loraText);
    const hint = there.length > 0 ? `; new videos may have ${either(there)}` : '';
    return refused(
      `No version of ${model} has ${loraText(settings.loras!)} any more, with which ${id} was made${hint}`,
    );
  }
  if (error.field !== 'model') {
    return error;
  }
  const fault = error.reason === 'MODEL_DRAINING' ? 'takes no new videos' : 'is no longer served';
  const others = models.openIds(model);
  const hint = others.length > 0 ? `; new videos may use ${either(others)}` : '';
  return refused(`${models.idOf(original)}, the model of ${id}, ${fault}${hint}`);
}
