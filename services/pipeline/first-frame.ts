import { Motion } from '../../proto/gen/fusionframes/v1/tensor.ts';
import { invalidField, inWords } from '../kit/errors.ts';
import { choice, decimalNumber, wholeNumber } from '../kit/values.ts';
import { option, type ValuesOf } from './options.ts';
import {
  conditionedOn,
  type MotionName,
  maxGuidanceScale,
  maxNoiseAugmentation,
  motionNames,
  type Preset,
} from './preset.ts';

const wireMotions: Record<MotionName, Motion> = {
  low: Motion.MOTION_LOW,
  medium: Motion.MOTION_MEDIUM,
  high: Motion.MOTION_HIGH,
  extreme: Motion.MOTION_EXTREME,
};

/** Whether a request may give the picture that the keyframes of a preset continue. */
export function takesPicture({ firstFrame }: Preset): boolean {
  return firstFrame !== undefined;
}

/** Throws INVALID_ARGUMENT for a preset that makes videos from text only. */
export function requireTakesPicture(preset: Preset): void {
  if (!takesPicture(preset)) {
    throw invalidField('input_reference', inWords('a picture'), `absent: ${preset.name} makes videos from text only`);
  }
}

const isOffered = (preset: Preset) => conditionedOn(preset) !== undefined;

/** Options of presets whose keyframe network reads a first frame: fields of the contract's message `FirstFrame`. */
export const firstFrameOptions = {
  motion: option<MotionName | undefined>({
    kind: choice(motionNames),
    name: 'motion',
    help: 'how much moves, for models that continue a first frame',
    flag: '--motion <amount>',
    wire: wireMotions,
    isOffered,
  }),
  noiseAugmentation: option<number | undefined>({
    kind: wholeNumber(0, maxNoiseAugmentation),
    name: 'noise_augmentation',
    help: 'noise added to the first frame; with more, the keyframes depend on it less',
    flag: '--noise-augmentation <n>',
    isOffered,
  }),
  imageGuidanceScale: option<number | undefined>({
    kind: decimalNumber(0, maxGuidanceScale),
    name: 'image_guidance_scale',
    help: 'guidance scale for the first frame',
    flag: '--image-guidance-scale <x>',
    isOffered,
  }),
};

/** How a first frame is continued. */
export type FirstFrameSettings = {
  [K in keyof ValuesOf<typeof firstFrameOptions>]-?: NonNullable<ValuesOf<typeof firstFrameOptions>[K]>;
};
