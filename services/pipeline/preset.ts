import { existsSync, readdirSync } from 'node:fs';
import { basename, dirname, isAbsolute, join, relative, resolve } from 'node:path';
import { Status } from 'nice-grpc-common';
import { z } from 'zod';
import { describe, FusionError, invalidField } from '../kit/errors.ts';
import { packageRoot } from '../kit/package-root.ts';
import { reasonOf } from '../kit/reason-of.ts';
import { chosenSchema, parseSchema } from '../kit/schema.ts';
import { modelsFolder } from './models-folder.ts';
import { movqSchema, videoMovqSchema } from './networks/movq.ts';
import { networkFaults } from './networks/network-faults.ts';
import { t5Schema } from './networks/t5-encoder.ts';
import { unetSchema } from './networks/unet.ts';
import { interpolationUNet11Schema, keyframeUNet11Schema } from './networks/unet-1.1.ts';
import { readPresetFile } from './read-preset-file.ts';
import { firstFrameModelNames, modelNames } from './stages.ts';
import { thingsSchema } from './things-schema.ts';

export { firstFrameModelNames, modelNames };

/** Names of the solvers, as users type them. */
export const samplerNames = ['dpm-solver++', 'unipc', 'ddim', 'ancestral'] as const;
export type SamplerName = (typeof samplerNames)[number];

/** What a network predicts: the noise, the velocity √ᾱ·noise − √(1−ᾱ)·x₀, or x₀ itself (diffusers' word for it is *sample*). */
export const predictionTypes = ['epsilon', 'v', 'sample'] as const;
export type PredictionType = (typeof predictionTypes)[number];

/**
 * How much noise each step of a network's training has; `cosine-zero-snr` is the cosine schedule, scaled to end in pure noise.
 */
export const scheduleNames = ['cosine', 'linear', 'cosine-zero-snr'] as const;
export type ScheduleName = (typeof scheduleNames)[number];

/**
 * The steps of ancestral sampling: `own` computes the schedule over the sampling steps (Kandinsky Video 1.0); the others pick
 * steps of training, each at the beginning (`leading`) or the end (`trailing`) of its share (1.1).
 */
export const stepSpacings = ['own', 'leading', 'trailing'] as const;
export type StepSpacing = (typeof stepSpacings)[number];

export const maxSteps = 1000;
export const maxGuidanceScale = 50;

/** Frame rates, as users type them: low has only the keyframes, each further rate one more interpolation pass. */
export const frameRateNames = ['low', 'medium', 'high'] as const;
export type FrameRateName = (typeof frameRateNames)[number];

const size = z.strictObject({
  width: z.int().positive().multipleOf(8),
  height: z.int().positive().multipleOf(8),
});

/** In pixels. */
export type FrameSize = z.infer<typeof size>;

/** Sets of sampling settings that a preset may have, best first. */
export const qualityNames = ['lossless', 'high', 'fast'] as const;
export type QualityName = (typeof qualityNames)[number];

const sampling = z.strictObject({
  sampler: z.enum(samplerNames),
  steps: z.int().min(1).max(maxSteps),
  guidanceScale: z.number().min(0).max(maxGuidanceScale),
});

const changedSampling = sampling.partial().default({});

const diffusion = z.strictObject({
  prediction: z.enum(predictionTypes),
  schedule: z.enum(scheduleNames),
  spacing: z.enum(stepSpacings).default('own'),
  /** Dynamic thresholding: the quantile of an item's |x₀|. Null: x₀ is clipped to [−1, 1]. */
  thresholdPercentile: z.number().min(0.5).max(1).nullable(),
  /** Defaults of a request. */
  defaults: sampling,
});

const frameSize = z
  .strictObject({
    default: size,
    minimum: size,
    maximum: size,
    /** Divisor of width and height required by down-sampling: 8 for the latents, times 2 for each level but the last. */
    multipleOf: z.int().positive().multipleOf(8),
    /** Sizes for which TensorRT engines are compiled. Default: only the default size. */
    compiled: z.array(size).min(1).optional(),
  })
  .superRefine(({ default: usual, minimum, maximum, multipleOf, compiled = [] }, context) => {
    const sizes = {
      minimum,
      maximum,
      default: usual,
      ...Object.fromEntries(compiled.map((each, i) => [`compiled.${i}`, each])),
    };
    for (const [name, given] of Object.entries(sizes)) {
      for (const side of ['width', 'height'] as const) {
        const [min, max] = [minimum[side], maximum[side]];
        if (given[side] < min || given[side] > max || given[side] % multipleOf !== 0) {
          const message = `must be a multiple of ${multipleOf} from ${min} to ${max} (got ${given[side]})`;
          context.addIssue({ code: 'custom', path: [...name.split('.'), side], message });
        }
      }
    }
  });

const decoding = z.strictObject({
  /** Maximum frames of an inference request; a longer window is still sent whole. */
  framesPerRequest: z.int().min(1),
  /** Minimum frames of a `video` decoder's window, where the video has that many. */
  framesPerWindow: z.int().min(1).default(4),
});

/** Whether frames are decoded independently (Kandinsky Video 1.0; the default) or in windows of neighbouring frames (1.1). */
const decoder = z.preprocess(
  (given) => withKind(given, 'image'),
  z.discriminatedUnion('kind', [
    decoding.extend({ kind: z.literal('image'), network: movqSchema }),
    decoding.extend({ kind: z.literal('video'), network: videoMovqSchema }),
  ]),
);

/** Amounts of motion, as users type them, with the scores that Kandinsky Video 1.1's keyframe network knows them by. */
export const motionScores = { low: 1, medium: 10, high: 50, extreme: 100 } as const;
export type MotionName = keyof typeof motionScores;
export const motionNames = Object.keys(motionScores) as readonly MotionName[] as readonly [MotionName, ...MotionName[]];

/** Steps of noise that may be added to a first frame. */
export const maxNoiseAugmentation = 999;

/** The first frame is an input of the keyframe network (Kandinsky Video 1.1): given, or made by that network at twice the size. */
const conditionedFirstFrame = z.strictObject({
  kind: z.literal('conditioned'),
  /** The MoVQ that encodes it and shows the one that was made. */
  network: movqSchema,
  /** What is added to it: the published code draws from [0, 1) instead of a normal distribution. */
  noise: z.enum(['uniform', 'normal']).default('uniform'),
  /** Defaults of a request. */
  defaults: z.strictObject({
    motion: z.enum(motionNames),
    noiseAugmentation: z.int().min(0).max(maxNoiseAugmentation),
    imageGuidanceScale: z.number().min(0).max(maxGuidanceScale),
  }),
});

/** The network knows nothing of a first frame; if one is given, sampling keeps it and fills in the other keyframes. */
const inpaintedFirstFrame = z.strictObject({ kind: z.literal('inpainted') });

/** The picture that the keyframes continue; of kind `conditioned` by default. */
const firstFrame = z.preprocess(
  (given) => withKind(given, 'conditioned'),
  z.discriminatedUnion('kind', [conditionedFirstFrame, inpaintedFirstFrame]),
);

function withKind(given: unknown, kind: string): unknown {
  return typeof given === 'object' && given !== null && !('kind' in given) ? { ...given, kind } : given;
}

const has = (given: unknown, argument: string) => typeof given === 'object' && given !== null && argument in given;
/** Networks of version 1.1 have these arguments, those of 1.0 have not. */
const keyframeNetwork = chosenSchema((given) => (has(given, 'motion_score') ? keyframeUNet11Schema : unetSchema));
const interpolationNetwork = chosenSchema((given) =>
  has(given, 'add_temporal_attention') ? interpolationUNet11Schema : unetSchema,
);

/** Of a text; its attention takes memory that grows with their square. */
const maxTokens = 8192;

const nameRule = '1 to 100 characters without slashes and control characters, not starting with a dot';

const presetSchema = z
  .strictObject({
    /** The default folder of its model repository has this name, too. */
    name: z.string().regex(/^[^./\\\p{Cc}][^/\\\p{Cc}]{0,99}$/u, nameRule),
    description: z.string(),
    /** The day on which the model was published. */
    published: z.iso.date('a day such as 2026-11-29').optional(),
    frameSize,
    /** Default frame rate of a request, and the playback rate of each, in frames per second. */
    defaultFrameRate: z.enum(frameRateNames),
    playbackRate: z.strictObject({
      low: z.number().positive(),
      medium: z.number().positive(),
      high: z.number().positive(),
    }),
    textEncoder: z.strictObject({
      network: t5Schema,
      /** Path of tokenizer.json, relative to the preset's file. */
      tokenizer: z.string(),
      padTokenId: z.int().min(0),
      endTokenId: z.int().min(0),
      /** Maximum number of tokens, including the end token; the rest of a prompt is cut. */
      maxTokens: z.int().min(2).max(maxTokens),
      /** `trimmed`: one more than the prompt's tokens (published); a number: always this many. */
      contextTokens: z.union([z.literal('trimmed'), z.int().min(2).max(maxTokens)]),
    }),
    keyframes: diffusion.extend({
      network: keyframeNetwork,
      frames: z.int().min(2),
      /** Positions of neighbouring keyframes are this far apart. */
      positionStride: z.int().min(1).default(1),
    }),
    /** Of a preset whose keyframes can continue a picture. */
    firstFrame: firstFrame.optional(),
    /** Of a preset that samples several things one by one. */
    things: thingsSchema
      .extend({
        /** Default guidance scale of their keyframes at the default quality; absent: that of a single thing. */
        guidanceScale: z.number().min(0).max(maxGuidanceScale).optional(),
      })
      .optional(),
    interpolation: diffusion.extend({
      network: interpolationNetwork,
      /** Skip value of each pass. */
      skips: z.array(z.int().min(0)).min(1).max(2),
      /** What is sampled: the frames in between (published), or their difference from a blend of their neighbours. */
      target: z.enum(['frames', 'difference']).default('frames'),
    }),
    decoder,
    /** The quality that the networks' defaults have. */
    defaultQuality: z.enum(qualityNames).default('lossless'),
    /** Other qualities, by what they change in those defaults. */
    qualities: z
      .partialRecord(
        z.enum(qualityNames),
        z.strictObject({ keyframes: changedSampling, interpolation: changedSampling }),
      )
      .default({}),
    /** Checkpoint files, relative to the preset's file. */
    weights: z.strictObject({
      textEncoder: z.string(),
      keyframes: z.string(),
      interpolation: z.string(),
      decoder: z.string(),
      /** Of the MoVQ of a `conditioned` first frame. */
      firstFrame: z.string().optional(),
    }),
    /** Description of the training world, relative to the preset's file; for presets trained on drawn scenes. */
    world: z.string().optional(),
    /** Example prompts. */
    examples: z.array(z.string()),
  })
  .superRefine((preset, context) => {
    for (const { field, must, got } of networkFaults(preset)) {
      const message = `must be ${must} (got ${describe(got)})`;
      context.addIssue({ code: 'custom', path: field.split('.'), message });
    }
  });

/** One configuration of the whole pipeline: the networks' constructor arguments and how they are sampled by default. */
export type Preset = z.infer<typeof presetSchema> & {
  /** Base folder of the preset's relative paths. */
  folder: string;
  /** The only sizes that are served, by engines; absent: all that `frameSize` allows. */
  sizes?: readonly FrameSize[];
};

/** How a keyframe network reads a first frame; undefined for a preset whose network does not. */
export function conditionedOn({ firstFrame }: Pick<Preset, 'firstFrame'>) {
  return firstFrame?.kind === 'conditioned' ? firstFrame : undefined;
}

/** A network's key among a preset's. */
export type ModelKey = keyof typeof modelNames | keyof typeof firstFrameModelNames;

/** Names of a preset's models in a repository, by their networks' keys. */
export function modelNamesOf(preset: Preset): Partial<Record<ModelKey, string>> & typeof modelNames {
  return { ...modelNames, ...firstFrameModelNamesOf(preset) };
}

/** Names of the models that a preset has for a first frame, by their networks' keys. */
export function firstFrameModelNamesOf({
  firstFrame,
}: Pick<Preset, 'firstFrame'>): Partial<typeof firstFrameModelNames> {
  const { pictureEncoder } = firstFrameModelNames;
  switch (firstFrame?.kind) {
    case 'conditioned':
      return firstFrameModelNames;
    case 'inpainted':
      return { pictureEncoder };
    case undefined:
      return {};
  }
}

/** Which of the preset's weights hold a network's. An `inpainted` first frame is encoded by the MoVQ of the video. */
export function weightsKeyOf(preset: Preset, key: ModelKey): keyof Preset['weights'] {
  switch (key) {
    case 'firstFrame':
      return 'keyframes';
    case 'pictureDecoder':
    case 'pictureEncoder':
      return conditionedOn(preset) ? 'firstFrame' : 'decoder';
    default:
      return key;
  }
}

/** The qualities that a preset has, best first. */
export function offeredQualities({ defaultQuality, qualities }: Preset): QualityName[] {
  return qualityNames.filter((name) => name === defaultQuality || qualities[name]);
}

/** A network's sampling settings at a quality; the preset's defaults if it does not have that quality. */
export function samplingAt(preset: Preset, network: 'keyframes' | 'interpolation', quality: QualityName) {
  const { defaults } = preset[network];
  return quality === preset.defaultQuality ? defaults : { ...defaults, ...preset.qualities[quality]?.[network] };
}

export const presetFolder = join(packageRoot, 'triton-models', 'presets');

/** Names of the built-in presets. */
export function listPresets(): string[] {
  return readdirSync(presetFolder)
    .filter((file) => file.endsWith('.json'))
    .map((file) => basename(file, '.json'))
    .sort();
}

/**
 * Reads a preset by name or by the path of its `.json` file. Throws INVALID_ARGUMENT for an unknown name or an invalid
 * preset, naming each fault.
 *
 * @param field where the name was given
 */
export function loadPreset(nameOrPath: string, field = 'preset'): Preset {
  const isPath = nameOrPath.endsWith('.json');
  const file = isPath ? resolve(nameOrPath) : join(presetFolder, `${nameOrPath}.json`);
  if ((!isPath && !/^[\w.-]+$/.test(nameOrPath)) || !existsSync(file)) {
    throw invalidField(field, nameOrPath, `one of ${listPresets().join(', ')}, or the path of a preset's .json file`);
  }
  try {
    return parsePreset(readPresetFile(file), dirname(file));
  } catch (error) {
    throw new FusionError(Status.INVALID_ARGUMENT, `${field}: ${file} is not a valid preset: ${reasonOf(error)}`, {
      reason: 'INVALID_PRESET',
      field,
      cause: error,
    });
  }
}

/**
 * Parses a preset file's content. Throws an error that names every invalid field.
 *
 * @param folder base folder of the preset's relative paths
 */
export function parsePreset(given: unknown, folder: string): Preset {
  return { ...parseSchema(presetSchema, given), folder };
}

/**
 * Resolves a path in a preset. Files that a built-in preset names but that do not ship with the program, such as
 * published weights, belong in the models folder.
 */
export function presetPath(preset: Preset, path: string): string {
  const absolute = resolve(preset.folder, path);
  return preset.folder !== presetFolder || isAbsolute(path) || existsSync(absolute)
    ? absolute
    : join(modelsFolder(), relative(dirname(presetFolder), absolute));
}

/**
 * Number of frames of a video: the keyframes, plus three between each two neighbours for every interpolation pass.
 *
 * @param keyframes default: those that the preset's network makes
 */
export function frameCount(preset: Preset, frameRate: FrameRateName, keyframes = preset.keyframes.frames): number {
  return keyframeStride(frameRate) * (keyframes - 1) + 1;
}

/** Intervals that an interpolation pass makes of each interval between two frames. */
const passFactor = 4;

/** T → 4·T − 3: an interpolation pass puts three frames between each two neighbouring ones. */
export function framesAfterPass(frames: number): number {
  return passFactor * (frames - 1) + 1;
}

/** Distance of neighbouring keyframes in the frames of a video. */
export function keyframeStride(frameRate: FrameRateName): number {
  return passFactor ** interpolationPasses(frameRate);
}

/** Interpolation passes of a frame rate: 0, 1 or 2. */
export function interpolationPasses(frameRate: FrameRateName): number {
  return frameRateNames.indexOf(frameRate);
}
