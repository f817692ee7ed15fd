import type { HalfPrecisionRules } from './half-precision-rules.ts';
import { convolution3x3, groupNorm } from './layers.ts';
import { attentionBlock, type Resampling, resNetBlock } from './unet-blocks.ts';
import type { Conditions } from './unet-conditions.ts';
import { concat, type Layer, named, silu, type Value, when } from './value.ts';

/** The conditioning of the norms and the last convolution stay float32. */
export const unetAllowsHalf: HalfPrecisionRules = {
  to_time_embed: false,
  to_temporal_embed: false,
  temporal_noise_aug_time_encoding: false,
  temporal_motion_score_encoding: false,
  perturbation_to_time_embed: false,
  feature_pooling: false,
  'out_layer.2': false,
};

interface Level {
  channels: { from: number; to: number };
  blocks: number;
  crossAttention: boolean;
  selfAttention: boolean;
}

/**
 * The U-Net from `in_layer` to `out_layer`: x `[frames, num_channels, h, w]` → `[frames, out_channels, h, w]`.
 *
 * @param inLayer name of the first convolution
 */
export function unet(x: Value, conditions: Conditions, inLayer = 'in_layer'): Value {
  const { config } = conditions;
  const { graph } = x;
  const widths = [config.init_channels, ...config.dim_mult.map((multiple) => multiple * config.model_channels)];
  const levels: Level[] = config.dim_mult.map((_, i) => ({
    channels: { from: widths[i]!, to: widths[i + 1]! },
    blocks: config.num_blocks[i]!,
    crossAttention: config.add_cross_attention[i]!,
    selfAttention: config.add_self_attention[i]!,
  }));
  const last = levels.length - 1;
  const init = config.init_channels;

  let current = x.through(convolution3x3(inLayer, init));
  if (config.spatial_position_embedding) {
    const [height, width] = config.spatial_position_embedding;
    current = current.plus(graph.parameter('spatial_position_embedding', [1, init, height, width]));
  }
  const skips: Value[] = [];
  levels.forEach((level, i) => {
    current = current.through(named(`down_samples.${i}`, downLevel(level, i < last, conditions)));
    skips.push(current);
  });
  levels.reverse().forEach((level, i) => {
    const input = i === 0 ? current : concat([current, skips[last - i]!], 1);
    current = input.through(named(`up_samples.${i}`, upLevel(level, i > 0, conditions)));
  });
  return current.through(
    groupNorm('out_layer.0', config.groups, 1e-5),
    silu,
    convolution3x3('out_layer.2', config.out_channels),
  );
}

function downLevel(level: Level, downsamples: boolean, conditions: Conditions): Layer {
  const { to } = level.channels;
  const { temporalResNet, temporalAttention } = temporalBlocks(conditions);
  const blocks = Array.from({ length: level.blocks }, (_, j): Layer => {
    const name = `resnet_attn_blocks.${j}`;
    const resampling: Resampling = downsamples && j === level.blocks - 1 ? 'down' : undefined;
    return (x) =>
      x.through(
        resNetBlock(`${name}.0`, to, undefined, conditions),
        temporalResNet(`${name}.3`),
        when(level.crossAttention, () => attentionBlock(`${name}.1`, 'context', conditions)),
        resNetBlock(`${name}.2`, to, resampling, conditions),
        temporalResNet(`${name}.4`),
      );
  });
  return (x) =>
    x.through(
      when(level.selfAttention, () => attentionBlock('self_attention_block', 'self', conditions)),
      when(level.selfAttention, () => temporalAttention),
      ...blocks,
    );
}

/** Mirrors `downLevel`: x has the level's `to` channels, or twice as many with a skip; returns `from` channels. */
function upLevel(level: Level, upsamples: boolean, conditions: Conditions): Layer {
  const { from, to } = level.channels;
  const { temporalResNet, temporalAttention, isMirrored } = temporalBlocks(conditions);
  const blocks = Array.from({ length: level.blocks }, (_, j): Layer => {
    const name = `resnet_attn_blocks.${j}`;
    const resampling: Resampling = j === 0 && upsamples ? 'up' : undefined;
    return (x) =>
      x.through(
        temporalResNet(`${name}.3`),
        resNetBlock(`${name}.0`, x.channels, resampling, conditions),
        when(level.crossAttention, () => attentionBlock(`${name}.1`, 'context', conditions)),
        temporalResNet(`${name}.4`),
        resNetBlock(`${name}.2`, j === level.blocks - 1 ? from : to, undefined, conditions),
      );
  });
  return (x) =>
    x.through(
      ...blocks,
      when(level.selfAttention && isMirrored, () => temporalAttention),
      when(level.selfAttention, () => attentionBlock('self_attention_block', 'self', conditions)),
      when(level.selfAttention && !isMirrored, () => temporalAttention),
    );
}

/** The temporal parts that come after whole blocks. Absent ones change nothing. */
function temporalBlocks({ temporal: { resNet, attention, attentionIsMirrored = true } }: Conditions) {
  return {
    temporalResNet: (name: string) => when(resNet !== undefined, () => resNet!(name)),
    temporalAttention: when(attention !== undefined, () => attention!('temporal_attention_block')),
    isMirrored: attentionIsMirrored,
  };
}
