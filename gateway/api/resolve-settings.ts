import { randomBytes } from 'node:crypto';
import { FrameRate, VideoFormat, type VideoSettings } from '../../proto/gen/fusionframes/v1/video.ts';
import { choices, invalidField } from '../../services/kit/errors.ts';
import { frameRateName } from '../../services/pipeline/frame-rates.ts';
import {
  type FrameRateName,
  frameRateNames,
  interpolationPasses,
  type Preset,
} from '../../services/pipeline/preset.ts';
import { checkPromptLength, maxPromptCharacters } from '../../services/pipeline/prompt-length.ts';
import { resolveSampling } from '../../services/pipeline/sampling.ts';
import type { JobSettings } from '../jobs/job.ts';
import { formatMessages } from './video-message.ts';

/**
 * A request's settings with the preset's defaults filled in, and a random seed where it has none. Throws
 * INVALID_ARGUMENT naming the field, what was given and what is allowed.
 */
export function resolveSettings(wire: VideoSettings | undefined, preset: Preset): JobSettings {
  if (!wire) {
    throw invalidField('settings', undefined, 'settings with at least a prompt');
  }
  return {
    prompt: resolvePrompt(wire.prompt),
    negativePrompt: wire.negativePrompt.trim() === '' ? '' : checkLength('negative_prompt', wire.negativePrompt),
    seed: wire.seed ?? randomBytes(8).readBigUInt64LE(),
    frameRate: resolveFrameRate(wire.frameRate, preset),
    ...resolveSize(wire, preset),
    keyframes: resolveSampling('keyframes', wire.keyframes, preset.keyframes.defaults),
    interpolation: resolveSampling('interpolation', wire.interpolation, preset.interpolation.defaults),
    format: resolveFormat(wire.format),
    keepFrames: wire.keepFrames,
  };
}

function resolvePrompt(prompt: string): string {
  if (prompt.trim() === '') {
    throw invalidField('prompt', prompt, `1 to ${maxPromptCharacters} characters`);
  }
  return checkLength('prompt', prompt);
}

function checkLength(field: string, text: string): string {
  checkPromptLength(field, text);
  if (/[\0\p{Surrogate}]/u.test(text)) {
    throw invalidField(field, 'a NUL character or half a character', 'whole characters without NUL');
  }
  return text;
}

function resolveFrameRate(given: FrameRate, preset: Preset): FrameRateName {
  const offered = frameRateNames.filter((name) => interpolationPasses(name) <= preset.interpolation.skips.length);
  if (given === FrameRate.FRAME_RATE_UNSPECIFIED) {
    return preset.defaultFrameRate;
  }
  const name = frameRateName(given);
  if (!name || !offered.includes(name)) {
    throw invalidField('frame_rate', name ?? given, choices(offered));
  }
  return name;
}

function resolveSize(wire: VideoSettings, { frameSize }: Preset): { width: number; height: number } {
  const resolve = (dimension: 'width' | 'height') => {
    const value = wire[dimension] || frameSize.default[dimension];
    const minimum = frameSize.minimum[dimension];
    const maximum = frameSize.maximum[dimension];
    if (value % frameSize.multipleOf !== 0 || value < minimum || value > maximum) {
      const range = `a multiple of ${frameSize.multipleOf} from ${minimum} to ${maximum}`;
      throw invalidField(dimension, value, minimum === maximum ? String(minimum) : range);
    }
    return value;
  };
  return { width: resolve('width'), height: resolve('height') };
}

function resolveFormat(given: VideoFormat): JobSettings['format'] {
  if (given === VideoFormat.VIDEO_FORMAT_UNSPECIFIED || given === VideoFormat.VIDEO_FORMAT_MP4) {
    return 'mp4';
  }
  if (given !== formatMessages.webp) {
    throw invalidField('format', given, 'one of mp4, webp');
  }
  return 'webp';
}
