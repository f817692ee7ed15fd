import { resolveSettings } from '../gateway/api/resolve-settings.ts';
import type { NewVideo } from '../gateway/client/video-client.ts';
import { toSettingsMessage } from '../gateway/client/video-message.ts';
import { requireTakesPicture } from '../services/pipeline/first-frame.ts';
import { checkKeyframeCount } from '../services/pipeline/given-keyframes.ts';
import type { Preset } from '../services/pipeline/preset.ts';

const flag = '--keyframes';

/** Throws INVALID_ARGUMENT, as the gateway would, for a request that the preset does not allow. */
export function checkRequest(request: NewVideo, preset: Preset): void {
  resolveSettings(toSettingsMessage(request), preset);
  if (request.inputReference) {
    requireTakesPicture(preset);
  }
}

/**
 * {@link checkRequest} for a request that may give keyframes, which it counts. Throws INVALID_ARGUMENT for files that give
 * none.
 */
export async function requestCheck(request: NewVideo): Promise<(preset: Preset) => void> {
  const count = await countGiven(request);
  return (preset) => {
    checkRequest(request, preset);
    if (count !== undefined) {
      checkKeyframeCount(count, preset, flag);
    }
  };
}

/** How many keyframes the files of a request give; undefined if it has none. Throws INVALID_ARGUMENT for files that give none. */
export async function countGiven({ givenKeyframes }: Pick<NewVideo, 'givenKeyframes'>): Promise<number | undefined> {
  if (!givenKeyframes || 'videoId' in givenKeyframes) {
    return undefined;
  }
  // Loads the readers of video files.
  const { countKeyframes } = await import('../gateway/media/given-keyframes.ts');
  return countKeyframes(flag, givenKeyframes);
}
