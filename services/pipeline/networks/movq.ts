import { z } from 'zod';
import { type NetworkInterface, tensorSpec } from './network-interface.ts';
import { depth, parseNetwork, perLevel, size } from './parse-network.ts';

const movqArguments = z.strictObject({
  double_z: z.literal(false),
  z_channels: size,
  /** Image size of training: it decides which levels have attention, whatever the size of the image at hand. */
  resolution: size,
  in_channels: size,
  out_ch: size,
  ch: size,
  /** Channels of each level, as multiples of `ch`. */
  ch_mult: perLevel(size),
  num_res_blocks: depth,
  attn_resolutions: z.array(size),
  /** No effect on inference. */
  dropout: z.number().optional(),
  /** Ours: groups of every norm; the published network has 32. */
  groups: size.default(32),
});

const videoMovqArguments = movqArguments.extend({
  /** Every residual block of the decoder merges in convolutions over time. */
  temporal: z.boolean().default(false),
  /** Those of `mid` as well. */
  temporal_mid_blocks: z.boolean().default(true),
  temporal_kernel_size: z.union([z.tuple([z.literal(3), z.literal(1), z.literal(1)]), cube(3)]).default([3, 3, 3]),
  temporal_conv_padding: z.union([z.tuple([z.literal(1), z.literal(0), z.literal(0)]), cube(1)]).default([1, 1, 1]),
  /** Residual blocks over time after the others. */
  temporal_blocks: z.boolean().default(false),
  /** Attention over time after every other attention. */
  temporal_attention_block: z.boolean().default(false),
  /** During training, the first block receives how each frame's brightness was changed; unused in inference. */
  flicker_augmentation: z.boolean().default(false),
  /** The residual blocks' convolutions are 3×3×3 themselves. */
  build_3D_decoder: z.boolean().default(false),
});

function cube<T extends number>(edge: T) {
  return z.tuple([z.literal(edge), z.literal(edge), z.literal(edge)]);
}

export const movqSchema = movqArguments.superRefine(rejectUnevenGroups);
export const videoMovqSchema = videoMovqArguments.superRefine((config, context) => {
  rejectUnevenGroups(config, context);
  rejectMixedVariants(config, context);
  const { temporal_kernel_size: kernel, temporal_conv_padding: padding } = config;
  if (config.temporal && kernel[1] !== 2 * padding[1] + 1) {
    const message = `must keep the size under temporal_kernel_size [${kernel}] (got [${padding}])`;
    context.addIssue({ code: 'custom', path: ['temporal_conv_padding'], message });
  }
});

const variants = ['temporal', 'temporal_blocks', 'build_3D_decoder'] as const;

/** Attention over time goes with any of them. */
function rejectMixedVariants(config: z.infer<typeof videoMovqArguments>, context: z.RefinementCtx): void {
  const [first, ...others] = variants.filter((variant) => config[variant]);
  if (others.length > 0) {
    const message = `must be the only decoder variant, of ${variants.join(', ')} (got also ${others.join(', ')})`;
    context.addIssue({ code: 'custom', path: [first!], message });
  }
}

function rejectUnevenGroups({ ch, groups }: z.infer<typeof movqArguments>, context: z.RefinementCtx): void {
  if (ch % groups !== 0) {
    const message = `must be a multiple of groups, ${groups} (got ${ch})`;
    context.addIssue({ code: 'custom', path: ['ch'], message });
  }
}

/** Constructor arguments of MoVQ, by their published names. */
export type MovqConfig = z.infer<typeof movqSchema>;

/** Constructor arguments of Kandinsky Video 1.1's MoVQ, whose decoder sees a window of frames together. */
export type VideoMovqConfig = z.infer<typeof videoMovqSchema>;

export const parseMovqConfig = (field: string, given: unknown): MovqConfig => parseNetwork(movqSchema, field, given);
export const parseVideoMovqConfig = (field: string, given: unknown): VideoMovqConfig =>
  parseNetwork(videoMovqSchema, field, given);

/**
 * The decoder of images, one item a frame; its pictures are bytes, colours last. `is_finite` says which frames were
 * finite before conversion to bytes, which hides NaN.
 */
export function movqDecoderInterface({ z_channels, out_ch }: MovqConfig) {
  return {
    inputs: { latents: tensorSpec('float32', 'frames', z_channels, 'latent_height', 'latent_width') },
    outputs: {
      frames: tensorSpec('uint8', 'frames', 'height', 'width', out_ch),
      is_finite: tensorSpec('bool', 'frames', 1),
    },
  } satisfies NetworkInterface;
}

/** Name of the model that encodes the frames of a whole video. */
export const movqEncoderName = 'movq_encoder';

/** The encoder of images, one item a picture with colours in [−1, 1]. */
export function movqEncoderInterface({ in_channels, z_channels }: MovqConfig) {
  return {
    inputs: { image: tensorSpec('float32', 'images', in_channels, 'height', 'width') },
    outputs: { encoded: tensorSpec('float32', 'images', z_channels, 'latent_height', 'latent_width') },
  } satisfies NetworkInterface;
}

/** The temporal decoder, one item a window of neighbouring frames. */
export function movqVideoDecoderInterface({ z_channels, out_ch }: MovqConfig) {
  return {
    inputs: { latents: tensorSpec('float32', 'windows', 'frames', z_channels, 'latent_height', 'latent_width') },
    outputs: {
      frames: tensorSpec('uint8', 'windows', 'frames', 'height', 'width', out_ch),
      is_finite: tensorSpec('bool', 'windows', 'frames'),
    },
  } satisfies NetworkInterface;
}
