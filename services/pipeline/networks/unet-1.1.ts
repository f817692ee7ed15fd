import { z } from 'zod';
import { type NetworkInterface, type TensorSpec, tensorSpec } from './network-interface.ts';
import { depth, parseNetwork, perLevel, size } from './parse-network.ts';
import { rejectUnevenSizes, unetArguments } from './unet.ts';

/** Kandinsky Video 1.1's constructors leave out what the published networks have by default. */
const unet11Arguments = {
  ...unetArguments,
  groups: size.default(32),
  head_dim: size.default(64),
  expansion_ratio: size.default(4),
  compression_ratio: size.default(2),
  dim_mult: perLevel(size).default([1, 2, 4, 8]),
  num_blocks: perLevel(depth.min(2)).default([3, 3, 3, 3]),
  add_cross_attention: z.array(z.boolean()).default([false, true, true, true]),
  add_self_attention: z.array(z.boolean()).default([false, true, true, true]),
};

export const keyframeUNet11Schema = z.preprocess(
  withDefaultChannels,
  z
    .strictObject({
      ...unet11Arguments,
      /** The temporal parts are conditioned on the noise that was added to the first frame. */
      noise_augmentation: z.boolean().default(false),
      /** They are conditioned on the amount of motion. */
      motion_score: z.boolean().default(false),
    })
    .superRefine((config, context) => {
      rejectUnevenSizes(config, context);
      const wanted = 2 * config.out_channels + 1;
      if (config.num_channels !== wanted) {
        const message = `must be ${wanted}, for noise, first frame and mask (got ${config.num_channels})`;
        context.addIssue({ code: 'custom', path: ['num_channels'], message });
      }
    }),
);

export const interpolationUNet11Schema = z.preprocess(
  withDefaultChannels,
  z
    .strictObject({
      ...unet11Arguments,
      /** Every block merges in a convolution over the groups. */
      temporal: z.boolean().default(true),
      /** The published network has only these convolutions, whatever their type. */
      temporal_type: z.enum(['conv1D', 'conv3D']).default('conv3D'),
      /** Attention over the groups, after every self-attention. */
      add_temporal_attention: z.boolean().default(true),
      /** Whether the time embedding depends on the noise of the given frames. */
      use_perturbation_time_embed: z.boolean().default(true),
      merge_perturbation_time_with_diffusion_time: z.boolean().default(true),
      merge_perturbation_time_with_context: z.literal(false).default(false),
      /** Whether the time embedding depends on the distance of the given frames. */
      pass_skip_frames: z.boolean().default(true),
      time_downsample: z.array(z.literal(false)).optional(),
      add_new_temporal_params: z.literal(false).default(false),
      /** How much noise the given frames have is an input of the served model. Default: they have none. */
      perturbation_input: z.boolean().optional(),
    })
    .superRefine((config, context) => {
      rejectUnevenSizes(config, context);
      if (config.perturbation_input && !seesPerturbation(config)) {
        const message =
          'must be absent unless use_perturbation_time_embed and merge_perturbation_time_with_diffusion_time are true';
        context.addIssue({ code: 'custom', path: ['perturbation_input'], message });
      }
    }),
);

/** Whether the time embedding depends on the noise of the given frames. */
export function seesPerturbation(
  config: Pick<
    InterpolationUNet11Config,
    'use_perturbation_time_embed' | 'merge_perturbation_time_with_diffusion_time'
  >,
): boolean {
  return config.use_perturbation_time_embed && config.merge_perturbation_time_with_diffusion_time;
}

function withDefaultChannels(given: unknown): unknown {
  if (typeof given !== 'object' || given === null || !('model_channels' in given)) {
    return given;
  }
  return { init_channels: given.model_channels, ...given };
}

/** Constructor arguments of Kandinsky Video 1.1's keyframe U-Net, by their published names. */
export type KeyframeUNet11Config = z.infer<typeof keyframeUNet11Schema>;

/** Constructor arguments of Kandinsky Video 1.1's interpolation U-Net, by their published names. */
export type InterpolationUNet11Config = z.infer<typeof interpolationUNet11Schema>;

export const parseKeyframeUNet11Config = (field: string, given: unknown): KeyframeUNet11Config =>
  parseNetwork(keyframeUNet11Schema, field, given);
export const parseInterpolationUNet11Config = (field: string, given: unknown): InterpolationUNet11Config =>
  parseNetwork(interpolationUNet11Schema, field, given);

export function isKeyframeUNet11(config: object): config is KeyframeUNet11Config {
  return 'motion_score' in config;
}

export function isInterpolationUNet11(config: object): config is InterpolationUNet11Config {
  return 'add_temporal_attention' in config;
}

/** A text, or where `unconditional` is true, the null embedding in its place. */
const textInputs = (items: string, contextSize: number) => ({
  context: tensorSpec('float32', items, 'tokens', contextSize),
  context_mask: tensorSpec('bool', items, 'tokens'),
  unconditional: tensorSpec('bool', items, 1),
});

/**
 * Kandinsky Video 1.1's keyframe U-Net, one item a video of any number of frames. `first_frame` holds the latents of the
 * frame to start from, with `noise_augmentation` steps of noise added; it is used where `has_first_frame` is true.
 */
export function keyframeUNet11Interface(config: KeyframeUNet11Config) {
  const { out_channels: channels, context_dim } = config;
  const perVideo = tensorSpec('float32', 'videos', 1);
  const conditions = {
    ...(config.noise_augmentation && { noise_augmentation: perVideo }),
    ...(config.motion_score && { motion_score: perVideo }),
  };
  return {
    inputs: {
      latents: tensorSpec('float32', 'videos', 'frames', channels, 'height', 'width'),
      timestep: perVideo,
      ...textInputs('videos', context_dim),
      first_frame: tensorSpec('float32', 'videos', channels, 'height', 'width'),
      has_first_frame: tensorSpec('bool', 'videos', 1),
      // A preset's network has both.
      ...(conditions as Required<typeof conditions>),
    },
    outputs: { prediction: tensorSpec('float32', 'videos', 'frames', channels, 'height', 'width') },
  } satisfies NetworkInterface;
}

/** The same U-Net without its temporal parts, which makes a single picture, one item a picture. */
export function firstFrameUNetInterface({ out_channels: channels, context_dim }: KeyframeUNet11Config) {
  return {
    inputs: {
      latents: tensorSpec('float32', 'pictures', channels, 'height', 'width'),
      timestep: tensorSpec('float32', 'pictures', 1),
      ...textInputs('pictures', context_dim),
    },
    outputs: { prediction: tensorSpec('float32', 'pictures', channels, 'height', 'width') },
  } satisfies NetworkInterface;
}

/**
 * Kandinsky Video 1.1's interpolation U-Net, one item a pass as in 1.0, but with a text. Without text the groups of a pass
 * do not see each other.
 */
export function interpolationUNet11Interface(config: InterpolationUNet11Config) {
  const { num_channels, out_channels, context_dim, perturbation_input } = config;
  const level: { perturbation?: TensorSpec<'float32'> } = perturbation_input
    ? { perturbation: tensorSpec('float32', 'videos', 1) }
    : {};
  return {
    inputs: {
      latents: tensorSpec('float32', 'videos', 'groups', num_channels, 'height', 'width'),
      timestep: tensorSpec('float32', 'videos', 1),
      skip: tensorSpec('int64', 'videos', 1),
      ...level,
      ...textInputs('videos', context_dim),
    },
    outputs: { prediction: tensorSpec('float32', 'videos', 'groups', out_channels, 'height', 'width') },
  } satisfies NetworkInterface;
}
