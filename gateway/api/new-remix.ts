import { Status } from 'nice-grpc-common';
import { CreateVideoRequest, type RemixVideoRequest, VideoSettings } from '../../proto/gen/fusionframes/v1/video.ts';
import { FusionError } from '../../services/kit/errors.ts';
import { toMessage } from '../../services/pipeline/options.ts';
import { videoOptions } from '../../services/pipeline/video-options.ts';
import type { Job, NewJob } from '../jobs/job.ts';
import { type NewJobContext, requestedJob } from './new-job.ts';

/**
 * A job with the settings, seed, model and previews of another one and a new prompt. If the version takes no new videos,
 * another one of the model makes it. Throws FAILED_PRECONDITION if this release cannot read those settings, and
 * INVALID_ARGUMENT as `newJob()` does.
 */
export function newRemix(
  original: Job,
  { prompt, clientId, webhook, metadata }: Omit<RemixVideoRequest, 'id'>,
  context: NewJobContext,
): NewJob {
  if (original.settingsFault !== undefined) {
    throw new FusionError(Status.FAILED_PRECONDITION, `Only a newer release knows it: ${original.settingsFault}`);
  }
  const settings = VideoSettings.fromPartial({ ...toMessage(videoOptions, original.settings), prompt });
  const request = CreateVideoRequest.fromPartial({
    clientId,
    settings,
    model: context.models.idForAnother(original),
    previews: original.previews,
    metadata,
    ...(webhook && { webhook }),
  });
  return { ...requestedJob(request, context), remixOf: original.id };
}
