import { resolveSettings } from '../gateway/api/resolve-settings.ts';
import type { NewVideo } from '../gateway/client/video-client.ts';
import { toSettingsMessage } from '../gateway/client/video-message.ts';
import { decodeApart } from '../gateway/media/decode-apart.ts';
import { requireTakesPicture } from '../services/pipeline/first-frame.ts';
import { checkKeyframeCount } from '../services/pipeline/given-keyframes.ts';
import type { Preset } from '../services/pipeline/preset.ts';
import type { JobSettings } from '../services/pipeline/video-options.ts';

const flag = '--keyframes';

/** The settings of a request. Throws INVALID_ARGUMENT, as the gateway would, for one that the preset does not allow. */
export function checkRequest(request: NewVideo, preset: Preset): JobSettings {
  const settings = resolveSettings(toSettingsMessage(request), preset);
  if (request.inputReference) {
    requireTakesPicture(preset);
  }
  return settings;
}

/**
 * {@link checkRequest} for a request that may give a picture or keyframes: counts and decodes them. Throws INVALID_ARGUMENT for
 * files that give none.
 */
export async function requestCheck(request: NewVideo): Promise<(preset: Preset) => Promise<void>> {
  const { givenKeyframes, inputReference } = request;
  const count = await countGiven(request);
  return async (preset) => {
    const { width, height } = checkRequest(request, preset);
    if (count !== undefined) {
      checkKeyframeCount(count, preset, flag);
      await decodeApart('prepareKeyframes', [flag, givenKeyframes as Uint8Array[], { width, height }, count]);
    }
    if (inputReference instanceof Uint8Array) {
      await decodeApart('preparePicture', ['--image', inputReference, { width, height }]);
    }
  };
}

/** How many keyframes the files of a request give; undefined if it has none. Throws INVALID_ARGUMENT for files that give none. */
export async function countGiven({ givenKeyframes }: Pick<NewVideo, 'givenKeyframes'>): Promise<number | undefined> {
  if (!givenKeyframes || 'videoId' in givenKeyframes) {
    return undefined;
  }
  return decodeApart('countKeyframes', [flag, givenKeyframes]);
}
