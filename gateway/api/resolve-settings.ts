import type { VideoSettings } from '../../proto/gen/fusionframes/v1/video.ts';
import { invalidField } from '../../services/kit/errors.ts';
import { checkSize } from '../../services/pipeline/frame-sizes.ts';
import { resolveOptions, wireName } from '../../services/pipeline/options.ts';
import type { Preset, QualityName } from '../../services/pipeline/preset.ts';
import { type JobSettings, settingsDefaults, videoOptions } from '../../services/pipeline/video-options.ts';

/**
 * A request's settings, with the preset's defaults and a random seed filled in. Throws INVALID_ARGUMENT naming the
 * field, what was given and what is allowed.
 */
export function resolveSettings(message: VideoSettings | undefined, preset: Preset): JobSettings {
  if (!message) {
    throw invalidField('settings', undefined, 'settings with at least a prompt');
  }
  const quality = wireName(videoOptions.quality.wire!, message.quality) as QualityName | undefined;
  const defaults = settingsDefaults(preset, quality, message.prompt);
  const settings = resolveOptions(videoOptions, message, defaults, preset);
  checkSize(settings, preset);
  return settings;
}
