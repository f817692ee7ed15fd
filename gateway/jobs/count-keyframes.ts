import type { GivenKeyframes } from '../../proto/gen/fusionframes/v1/video.ts';
import { invalidField, inWords, renameField, toFusionError } from '../../services/kit/errors.ts';
import type { Caller } from '../keys/caller.ts';
import { decodeApart } from '../media/decode-apart.ts';
import { inTurn } from './decoding-places.ts';
import type { VideoJobs } from './video-jobs.ts';

/**
 * How many keyframes a request gives; undefined if it gives none. Throws INVALID_ARGUMENT for files that give none, and
 * NOT_FOUND for a video that the caller does not have, and the signal's reason.
 */
export async function countKeyframes(
  given: GivenKeyframes | undefined,
  jobs: Pick<VideoJobs, 'get'>,
  caller: Caller,
  signal: AbortSignal,
): Promise<number | undefined> {
  if (!given) {
    return undefined;
  }
  const { files, videoId } = given;
  if (videoId === '') {
    return inTurn(files, () => decodeApart('countKeyframes', ['keyframes', files], signal), signal);
  }
  if (files.length > 0) {
    throw invalidField('keyframes.files', inWords(`${files.length} files`), 'empty with `video_id`');
  }
  const { settings } = await jobs.get(videoId, caller).catch((error) => {
    throw renameField(toFusionError(error), 'keyframes.video_id');
  });
  if (settings.givenKeyframes === undefined) {
    throw invalidField('keyframes.video_id', videoId, 'a video that was given keyframes');
  }
  return settings.givenKeyframes;
}
