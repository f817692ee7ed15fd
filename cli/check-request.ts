import { resolveSettings } from '../gateway/api/resolve-settings.ts';
import type { NewVideo } from '../gateway/client/video-client.ts';
import { toSettingsMessage } from '../gateway/client/video-message.ts';
import { invalidField, inWords } from '../services/kit/errors.ts';
import { requireTakesPicture } from '../services/pipeline/first-frame.ts';
import type { Preset } from '../services/pipeline/preset.ts';

/** Throws INVALID_ARGUMENT, as the gateway would, for a request that the preset does not allow. */
export function checkRequest(request: NewVideo, preset: Preset): void {
  resolveSettings(toSettingsMessage(request), preset);
  if (request.inputReference && request.givenKeyframes) {
    throw invalidField(
      'keyframes',
      inWords('keyframes'),
      'absent with `--image`: the first of them is the first frame',
    );
  }
  if (request.inputReference) {
    requireTakesPicture(preset);
  }
}
