import { randomBytes } from 'node:crypto';
import { Status } from 'nice-grpc-common';
import { Quality, VideoFormat, type VideoSettings } from '../../proto/gen/fusionframes/v1/video.ts';
import { choices, FusionError, invalidField } from '../kit/errors.ts';
import { choice, type Kind, seed, text, truth, wholeNumber } from '../kit/values.ts';
import { firstFrameOptions } from './first-frame.ts';
import { offeredFrameRates, wireFrameRates } from './frame-rates.ts';
import { checkSide } from './frame-sizes.ts';
import type { MergedLora } from './loras.ts';
import { type DefaultsOf, type Option, option, type ValuesOf } from './options.ts';
import { perturbation } from './perturbation.ts';
import {
  conditionedOn,
  frameRateNames,
  offeredQualities,
  type Preset,
  type QualityName,
  qualityNames,
  samplingAt,
} from './preset.ts';
import { checkPromptLength, maxPromptCharacters } from './prompt-length.ts';
import { samplingOptions } from './sampling.ts';
import { promptsOfThings } from './things.ts';

export const videoFormats = ['mp4', 'webp'] as const;
const maxPixels = 16_384;

const wireQualities: Record<QualityName, Quality> = {
  lossless: Quality.QUALITY_LOSSLESS,
  high: Quality.QUALITY_HIGH,
  fast: Quality.QUALITY_FAST,
};

/**
 * Everything that a video depends on, by the fields of the contract's `VideoSettings`. HTTP, gRPC, the command line,
 * stored jobs and the page's form all derive from this.
 */
export const videoOptions = {
  prompt: option({
    kind: text(`1 to ${maxPromptCharacters} characters`, { minLength: 1, maxLength: maxPromptCharacters }),
    name: 'prompt',
    help: 'what the video shows',
    check: checkPrompt,
  }),
  negativePrompt: option({
    kind: blankIsEmpty(text(`at most ${maxPromptCharacters} characters`, { maxLength: maxPromptCharacters })),
    name: 'negative_prompt',
    help: 'what the video must not show',
    fallback: 'nothing',
    flag: '--negative-prompt <text>',
    check: checkText,
  }),
  seed: option({
    kind: seed(),
    name: 'seed',
    help: 'the same seed gives the same video',
    fallback: 'random',
    absentValue: -1,
    flag: '--seed <n>',
  }),
  frameRate: option({
    kind: choice(frameRateNames),
    name: 'frame_rate',
    help: 'number of frames: only the keyframes, or with frames interpolated in one or two passes',
    flag: '--fps <rate>',
    wire: wireFrameRates,
    check(field, frameRate, preset) {
      const offered = offeredFrameRates(preset);
      if (!offered.includes(frameRate)) {
        throw invalidField(field, frameRate, choices(offered));
      }
    },
  }),
  quality: option({
    kind: choice(qualityNames),
    name: 'quality',
    help: 'sampling settings of the preset to start from: lossless takes no shortcuts, high those without a measured loss, fast all',
    flag: '--quality <name>',
    wire: wireQualities,
    before: 'lossless',
    check(field, quality, preset) {
      const offered = offeredQualities(preset);
      if (!offered.includes(quality)) {
        throw invalidField(field, quality, choices(offered));
      }
    },
  }),
  width: sideOption('width'),
  height: sideOption('height'),
  ...samplingOptions,
  perturbation,
  format: option({
    kind: choice(videoFormats),
    name: 'format',
    help: 'H.264 in MP4, or animated WebP',
    fallback: 'mp4',
    wire: { mp4: VideoFormat.VIDEO_FORMAT_MP4, webp: VideoFormat.VIDEO_FORMAT_WEBP },
  }),
  ...firstFrameOptions,
  keepFrames: option({
    kind: truth(),
    name: 'keep_frames',
    help: 'also keep every frame as PNG',
    fallback: 'false',
  }),
} satisfies Record<keyof VideoSettings, unknown>;

/** The values of all options. */
export type OptionValues = ValuesOf<typeof videoOptions>;

/** Complete settings of a video: the same settings, with the same keyframes if some were given, give the same video. */
export type JobSettings = OptionValues & {
  /** How many keyframes the caller gave; absent: the network makes them. */
  givenKeyframes?: number;
  /** What is merged into the weights of the model's version, in the order of names; absent: nothing. */
  loras?: readonly MergedLora[];
};

/** Defaults for omitted options: a random seed, and the preset's values for the quality and the prompt, if it is known. */
export function settingsDefaults(
  preset: Preset,
  quality: QualityName = preset.defaultQuality,
  prompt = '',
): DefaultsOf<typeof videoOptions> {
  const isOfThings = quality === preset.defaultQuality && promptsOfThings(prompt, preset).length > 0;
  const guidanceScale = isOfThings ? preset.things?.guidanceScale : undefined;
  return {
    negativePrompt: '',
    seed: randomBytes(8).readBigUInt64LE(),
    frameRate: preset.defaultFrameRate,
    quality,
    ...preset.frameSize.default,
    keyframes: { ...samplingAt(preset, 'keyframes', quality), ...(guidanceScale !== undefined && { guidanceScale }) },
    interpolation: samplingAt(preset, 'interpolation', quality),
    perturbation: 0,
    ...conditionedOn(preset)?.defaults,
    format: 'mp4',
    keepFrames: false,
  };
}

function sideOption(side: 'width' | 'height'): Option<number> {
  return {
    kind: wholeNumber(1, maxPixels),
    name: side,
    help: `${side} of the video in pixels, within the limits of the preset`,
    check(field, value, preset) {
      checkSide(field, side, value, preset);
    },
  };
}

/** Throws INVALID_ARGUMENT for a prompt that no preset takes. */
export function checkPrompt(field: string, prompt: string): void {
  if (prompt.trim() === '') {
    throw invalidField(field, prompt, `1 to ${maxPromptCharacters} characters`);
  }
  checkText(field, prompt);
}

export function checkText(field: string, given: string): void {
  checkPromptLength(field, given);
  if (/[\0\p{Surrogate}]/u.test(given)) {
    // Without the text: errors are logged.
    const message = `\`${field}\` must not contain NUL characters or unpaired surrogates`;
    throw new FusionError(Status.INVALID_ARGUMENT, message, { reason: 'INVALID_FIELD', field });
  }
}

function blankIsEmpty(kind: Kind<string>): Kind<string> {
  return { ...kind, given: kind.given.transform((given) => (given.trim() === '' ? '' : given)) };
}
