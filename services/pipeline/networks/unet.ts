import { z } from 'zod';
import { type NetworkInterface, type TensorSpec, tensorSpec } from './network-interface.ts';
import { depth, parseNetwork, perLevel, size } from './parse-network.ts';

/** The arguments that size every U-Net. */
export const unetArguments = {
  model_channels: size,
  init_channels: size.min(4).multipleOf(2),
  /** Channels of the input. */
  num_channels: size,
  out_channels: size,
  time_embed_dim: size,
  context_dim: size,
  groups: size,
  head_dim: size,
  expansion_ratio: size,
  compression_ratio: size,
  /** Channels of each level, as multiples of `model_channels`. */
  dim_mult: perLevel(size),
  /** The published network cannot build a level of one block. */
  num_blocks: perLevel(depth.min(2)),
  add_cross_attention: z.array(z.boolean()),
  add_self_attention: z.array(z.boolean()),
};

const unetSizes = z.object(unetArguments);

/** What every U-Net has, whatever its temporal parts. */
export type UNetSizes = z.infer<typeof unetSizes>;

/**
 * The paper's kinds of temporal conditioning of the keyframe network, by their names there: convolution and attention over
 * time as layers inside the spatial blocks, or as blocks of their own after them (published). `Attn3d` attends within
 * windows of 2×2 positions over all frames; `Conv3d` convolves 3×3×3 between two linear projections.
 */
export const temporalConditionings = [
  'Conv1dAttn1dLayers',
  'Conv1dAttn1dBlocks',
  'Conv1dAttn3dBlocks',
  'Conv3dAttn1dBlocks',
] as const;

export type TemporalConditioning = (typeof temporalConditionings)[number];

/** Height and width of the windows of `Attn3d`. */
export const attentionWindow = 2;

export const unetSchema = z
  .strictObject({
    ...unetArguments,
    /** Keyframes of a video; null in the interpolation network, which accepts any number of groups. */
    num_frames: z.int().min(2).nullable().default(null),
    interpolation: z.boolean().default(false),
    /** Of the keyframe network. Default: Conv1dAttn1dBlocks. */
    temporal_conditioning: z.enum(temporalConditionings).optional(),
    /**
     * Of an interpolation network that is the paper's baseline, masked frame interpolation: it sees sequences of so many
     * frames, of which the first and the last are given. Default: it sees groups of three frames between two given ones.
     */
    sequence_frames: z.literal(5).optional(),
    /**
     * Of an interpolation network: how much noise the given frames have is an input of the served model. Default: they have none.
     */
    perturbation_input: z.boolean().optional(),
    /**
     * Ours: every norm is conditioned on a frame's position and its interaction with the text, rather than only the
     * temporal attention's norm on the position. Off in the published network.
     */
    frame_position_in_time_embed: z.boolean().default(false),
    /**
     * Ours: height and width of the latents that the network is for; a parameter of that size is added after `in_layer`.
     * Null in the published network, which takes any size.
     */
    spatial_position_embedding: z.tuple([size, size]).nullable().default(null),
  })
  .superRefine((config, context) => {
    rejectUnevenSizes(config, context);
    if (config.interpolation !== (config.num_frames === null)) {
      const message = 'must be a number in the keyframe network and null in the interpolation network';
      context.addIssue({ code: 'custom', path: ['num_frames'], message });
    }
    if (config.interpolation && config.frame_position_in_time_embed) {
      const message = 'must be false in the interpolation network, which has no frame positions';
      context.addIssue({ code: 'custom', path: ['frame_position_in_time_embed'], message });
    }
    for (const name of ['sequence_frames', 'perturbation_input'] as const) {
      if (!config.interpolation && config[name] !== undefined) {
        context.addIssue({ code: 'custom', path: [name], message: 'must be absent in the keyframe network' });
      }
    }
    if (config.interpolation && config.temporal_conditioning !== undefined) {
      const message = `must be absent in the interpolation network (got ${config.temporal_conditioning})`;
      context.addIssue({ code: 'custom', path: ['temporal_conditioning'], message });
    }
  });

/** Lists must have an entry for every level, and channels that are cut into equal parts must divide evenly. */
export function rejectUnevenSizes(config: UNetSizes, context: z.RefinementCtx): void {
  for (const key of ['num_blocks', 'add_cross_attention', 'add_self_attention'] as const) {
    if (config[key].length !== config.dim_mult.length) {
      const message = `must have as many entries as dim_mult, ${config.dim_mult.length} (got ${config[key].length})`;
      context.addIssue({ code: 'custom', path: [key], message });
    }
  }
  rejectUnevenChannels(config, context);
}

/** The channels of a norm are cut into groups, those of an attention into heads. */
function rejectUnevenChannels(config: UNetSizes, context: z.RefinementCtx): void {
  const { init_channels: init, compression_ratio: ratio } = config;
  const levels = config.dim_mult.map((multiple, i) => {
    const channels = multiple * config.model_channels;
    const isDeepest = i === config.dim_mult.length - 1;
    // On the way up, every level except the deepest starts with its skip connection concatenated.
    return {
      from: i === 0 ? init : config.dim_mult[i - 1]! * config.model_channels,
      blocks: isDeepest ? [channels] : [channels, 2 * channels],
    };
  });
  const ofBlocks = levels.flatMap(({ from, blocks }) => [Math.max(from, blocks[0]!), ...blocks]);
  const ofAttention = levels.flatMap(({ from, blocks }, i) => [
    ...(config.add_self_attention[i] ? [from] : []),
    ...(config.add_cross_attention[i] ? blocks : []),
  ]);
  const uneven = (
    argument: 'compression_ratio' | 'groups' | 'head_dim',
    parts: string,
    channels: readonly number[],
  ) => {
    const sorted = [...new Set(channels)].sort((a, b) => a - b);
    if (sorted.some((count) => count % config[argument] !== 0)) {
      const message = `must divide the channels of every ${parts}: ${sorted.join(', ')} (got ${config[argument]})`;
      context.addIssue({ code: 'custom', path: [argument], message });
      return true;
    }
    return false;
  };
  if (!uneven('compression_ratio', 'residual block', ofBlocks)) {
    uneven('groups', 'norm', [init, ...ofBlocks, ...ofBlocks.map((channels) => channels / ratio)]);
  }
  uneven('head_dim', 'attention', [config.time_embed_dim, ...ofAttention]);
}

/** Constructor arguments of a U-Net, by their published names. */
export type UNetConfig = z.infer<typeof unetSchema>;

/**
 * Height and width of the latents must be multiples of this: every level but the last halves them, and windows of positions
 * must fit at the deepest level that has attention.
 */
export function latentMultiple(
  config: UNetSizes & { temporal_conditioning?: TemporalConditioning | undefined },
): number {
  const halvings = config.dim_mult.length - 1;
  const hasWindows = config.temporal_conditioning === 'Conv1dAttn3dBlocks';
  const deepest = config.add_self_attention.lastIndexOf(true);
  return Math.max(2 ** halvings, hasWindows && deepest >= 0 ? 2 ** deepest * attentionWindow : 1);
}

export const parseUNetConfig = (field: string, given: unknown): UNetConfig => parseNetwork(unetSchema, field, given);

/**
 * The keyframe U-Net, one item a video. Where `unconditional` is true the null embedding takes the context's place.
 */
export function keyframeUNetInterface(config: UNetConfig) {
  const { num_frames, num_channels, out_channels, context_dim } = config;
  const frames = num_frames!;
  return {
    inputs: {
      latents: tensorSpec('float32', 'videos', frames, num_channels, 'height', 'width'),
      timestep: tensorSpec('float32', 'videos', 1),
      positions: tensorSpec('float32', 'videos', frames),
      context: tensorSpec('float32', 'videos', 'tokens', context_dim),
      context_mask: tensorSpec('bool', 'videos', 'tokens'),
      unconditional: tensorSpec('bool', 'videos', 1),
    },
    outputs: { prediction: tensorSpec('float32', 'videos', frames, out_channels, 'height', 'width') },
  } satisfies NetworkInterface;
}

/** Whether an interpolation network is the paper's baseline instead of one for groups of three. */
export function seesMaskedFrames(network: object): boolean {
  return 'sequence_frames' in network && network.sequence_frames !== undefined;
}

/** Maximum number of masked sequences in a call. */
export const maxSequences = 8;

/** Rows of the interpolation network's table of skip embeddings: skip values are below this number. */
export const skipValues = 20;

/**
 * The interpolation U-Net, one item a pass over a video of so many groups, which are pairs of neighbouring frames: the
 * left frame's channels, those of the noisy interpolated frames, the right frame's. For masked frames, one item a sequence:
 * of each frame the noise, the frame itself (zeros if it is missing), and a channel of ones if it is given, else zeros.
 */
export function interpolationUNetInterface(config: UNetConfig) {
  const { num_channels, out_channels, sequence_frames, perturbation_input } = config;
  const items = sequence_frames === undefined ? 'videos' : 'sequences';
  const frames = sequence_frames ?? 'groups';
  const level: { perturbation?: TensorSpec<'float32'> } = perturbation_input
    ? { perturbation: tensorSpec('float32', items, 1) }
    : {};
  return {
    inputs: {
      latents: tensorSpec('float32', items, frames, num_channels, 'height', 'width'),
      timestep: tensorSpec('float32', items, 1),
      skip: tensorSpec('int64', items, 1),
      ...level,
    },
    outputs: { prediction: tensorSpec('float32', items, frames, out_channels, 'height', 'width') },
  } satisfies NetworkInterface;
}
