import { Status } from 'nice-grpc-common';
import { z } from 'zod';
import { FusionError } from '../../services/kit/errors.ts';
import { tellFaults, tryParse } from '../../services/kit/schema.ts';

const size = z.int().positive();

const unetSchema = z
  .strictObject({
    model_channels: size,
    init_channels: z.int().min(4).multipleOf(2),
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
    dim_mult: z.array(size).min(1),
    /** The published network has no way to build a level of one block. */
    num_blocks: z.array(z.int().min(2)),
    add_cross_attention: z.array(z.boolean()),
    add_self_attention: z.array(z.boolean()),
    /** Keyframes of a video; null in the interpolation network, which takes as many groups as come. */
    num_frames: z.int().min(2).nullable().default(null),
    interpolation: z.boolean().default(false),
    /**
     * Ours: every norm knows a frame's position and what the text says of it, not the temporal attention's norm the
     * position alone. Off in the published network.
     */
    frame_position_in_time_embed: z.boolean().default(false),
    /**
     * Ours: height and width of the latents that the network is for; a parameter of that size is added after `in_layer`.
     * Null in the published network, which takes any size.
     */
    spatial_position_embedding: z.tuple([size, size]).nullable().default(null),
  })
  .superRefine((config, context) => {
    for (const key of ['num_blocks', 'add_cross_attention', 'add_self_attention'] as const) {
      if (config[key].length !== config.dim_mult.length) {
        const message = `must have as many entries as dim_mult, ${config.dim_mult.length} (got ${config[key].length})`;
        context.addIssue({ code: 'custom', path: [key], message });
      }
    }
    rejectUnevenChannels(config, context);
    if (config.interpolation !== (config.num_frames === null)) {
      const message = 'must be a number in the keyframe network and null in the interpolation network';
      context.addIssue({ code: 'custom', path: ['num_frames'], message });
    }
    if (config.interpolation && config.frame_position_in_time_embed) {
      const message = 'must be false in the interpolation network, which has no frame positions';
      context.addIssue({ code: 'custom', path: ['frame_position_in_time_embed'], message });
    }
  });

/** Channels that are cut into equal parts (the groups of a norm, the heads of an attention) must divide evenly. */
function rejectUnevenChannels(config: UNetChannels, context: z.RefinementCtx): void {
  const { init_channels: init, compression_ratio: ratio } = config;
  const levels = config.dim_mult.map((multiple, i) => {
    const channels = multiple * config.model_channels;
    const isDeepest = i === config.dim_mult.length - 1;
    // On the way up, every level but the deepest starts with its skip beside it.
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

type UNetChannels = Record<
  'model_channels' | 'init_channels' | 'time_embed_dim' | 'compression_ratio' | 'groups' | 'head_dim',
  number
> &
  Record<'add_self_attention' | 'add_cross_attention', boolean[]> & { dim_mult: number[] };

/** Constructor arguments of a U-Net, by their published names. */
export type UNetConfig = z.infer<typeof unetSchema>;

const movqArguments = z.strictObject({
  double_z: z.literal(false),
  z_channels: size,
  /** Image size of training: it decides which levels have attention, whatever the size of the image at hand. */
  resolution: size,
  in_channels: size,
  out_ch: size,
  ch: size,
  /** Channels of each level, as multiples of `ch`. */
  ch_mult: z.array(size).min(1),
  num_res_blocks: size,
  attn_resolutions: z.array(size),
  /** Of no effect when a network only runs. */
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
  /** Training tells the first block how each frame's brightness was changed; nothing is told when a network only runs. */
  flicker_augmentation: z.boolean().default(false),
  /** The residual blocks' convolutions are 3×3×3 themselves. */
  build_3D_decoder: z.boolean().default(false),
});

function cube<T extends number>(edge: T) {
  return z.tuple([z.literal(edge), z.literal(edge), z.literal(edge)]);
}

const movqSchema = movqArguments.superRefine(rejectUnevenGroups);
const videoMovqSchema = videoMovqArguments.superRefine((config, context) => {
  rejectUnevenGroups(config, context);
  const { temporal_kernel_size: kernel, temporal_conv_padding: padding } = config;
  if (config.temporal && kernel[1] !== 2 * padding[1] + 1) {
    const message = `must keep the size under temporal_kernel_size [${kernel}] (got [${padding}])`;
    context.addIssue({ code: 'custom', path: ['temporal_conv_padding'], message });
  }
});

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

const t5Arguments = z.strictObject({
  vocab_size: size,
  d_model: size,
  d_kv: size,
  num_heads: size,
  d_ff: size,
  num_layers: size,
  relative_attention_num_buckets: size.multipleOf(4),
  relative_attention_max_distance: size,
  feed_forward_proj: z.enum(['gated-gelu', 'gated-silu']),
  layer_norm_epsilon: z.number().positive().default(1e-6),
  /** Size of the projected context. */
  context_dim: size,
  /** Checkpoints name the one embedding table differently. */
  embedding_name: z.enum(['shared.weight', 'encoder.embed_tokens.weight']).default('shared.weight'),
});

const t5Schema = t5Arguments.superRefine((config, context) => {
  const { relative_attention_num_buckets: buckets, relative_attention_max_distance: distance } = config;
  if (distance <= buckets / 4) {
    const message = `must be above ${buckets / 4}, the distances that have buckets of their own (got ${distance})`;
    context.addIssue({ code: 'custom', path: ['relative_attention_max_distance'], message });
  }
});

/** Constructor arguments of the text encoder and its projection, by their published names. */
export type T5Config = z.infer<typeof t5Schema>;

/** Each throws FAILED_PRECONDITION naming every argument at fault; `field` is where the arguments stand. */
export const parseUNetConfig = (field: string, given: unknown): UNetConfig => parse(unetSchema, field, given);
export const parseMovqConfig = (field: string, given: unknown): MovqConfig => parse(movqSchema, field, given);
export const parseVideoMovqConfig = (field: string, given: unknown): VideoMovqConfig =>
  parse(videoMovqSchema, field, given);
export const parseT5Config = (field: string, given: unknown): T5Config => parse(t5Schema, field, given);

function parse<T>(schema: z.ZodType<T>, field: string, given: unknown): T {
  const parsed = tryParse(schema, given);
  if ('value' in parsed) {
    return parsed.value;
  }
  const faults = parsed.faults.map((fault) => ({ ...fault, field: [field, fault.field].filter(Boolean).join('.') }));
  throw new FusionError(Status.FAILED_PRECONDITION, `this network can't be built: ${tellFaults(faults)}`, {
    reason: 'INVALID_NETWORK',
    field: faults[0]!.field,
  });
}
