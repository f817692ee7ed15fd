import type { Graph, Value } from './graph.ts';
import type { HalfPrecisionRules } from './half-precision-rules.ts';
import { convolution, groupNorm } from './layers.ts';
import { add, concat, silu } from './operators.ts';
import { temporalAttentionBlock, temporalResNetBlock } from './temporal.ts';
import { attentionBlock, type Resampling, resNetBlock } from './unet-blocks.ts';
import type { Conditions } from './unet-conditions.ts';

/** What conditions every norm stays float32, and so does the last convolution. */
export const unetAllowsHalf: HalfPrecisionRules = {
  to_time_embed: false,
  to_temporal_embed: false,
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

/** The U-Net from `in_layer` to `out_layer`: x `[frames, num_channels, h, w]` → `[frames, out_channels, h, w]`. */
export function unet(g: Graph, x: Value, conditions: Conditions): Value {
  const { config } = conditions;
  const widths = [config.init_channels, ...config.dim_mult.map((multiple) => multiple * config.model_channels)];
  const levels: Level[] = config.dim_mult.map((_, i) => ({
    channels: { from: widths[i]!, to: widths[i + 1]! },
    blocks: config.num_blocks[i]!,
    crossAttention: config.add_cross_attention[i]!,
    selfAttention: config.add_self_attention[i]!,
  }));
  const last = levels.length - 1;
  const init = config.init_channels;

  let current = convolution(g, 'in_layer', x, {
    inChannels: config.num_channels,
    outChannels: init,
    kernel: 3,
    padding: 1,
  });
  if (config.spatial_position_embedding) {
    const [height, width] = config.spatial_position_embedding;
    current = add(g, current, g.parameter('spatial_position_embedding', [1, init, height, width]));
  }
  const skips: Value[] = [];
  levels.forEach((level, i) => {
    current = g.module(`down_samples.${i}`, () => downLevel(g, current, level, i < last, conditions));
    skips.push(current);
  });
  levels.reverse().forEach((level, i) => {
    const input = i === 0 ? current : concat(g, [current, skips[last - i]!], 1);
    current = g.module(`up_samples.${i}`, () => upLevel(g, input, level, i > 0, conditions));
  });
  const activated = silu(g, groupNorm(g, 'out_layer.0', current, init, config.groups, 1e-5));
  return convolution(g, 'out_layer.2', activated, {
    inChannels: init,
    outChannels: config.out_channels,
    kernel: 3,
    padding: 1,
  });
}

function downLevel(g: Graph, x: Value, level: Level, downsamples: boolean, conditions: Conditions): Value {
  const { from, to } = level.channels;
  let current = x;
  if (level.selfAttention) {
    current = attentionBlock(g, 'self_attention_block', current, from, 'self', conditions);
    current = optionalTemporalAttention(g, current, from, conditions);
  }
  for (let j = 0; j < level.blocks; j++) {
    const name = `resnet_attn_blocks.${j}`;
    const resampling: Resampling = downsamples && j === level.blocks - 1 ? 'down' : undefined;
    current = resNetBlock(g, `${name}.0`, current, { from: j === 0 ? from : to, to }, conditions);
    current = optionalTemporalResNet(g, `${name}.3`, current, to, conditions);
    if (level.crossAttention) {
      current = attentionBlock(g, `${name}.1`, current, to, 'context', conditions);
    }
    current = resNetBlock(g, `${name}.2`, current, { from: to, to, resampling }, conditions);
    current = optionalTemporalResNet(g, `${name}.4`, current, to, conditions);
  }
  return current;
}

/** The mirror of `downLevel`: x has the level's `to` channels, or twice as many when it carries a skip; out come `from`. */
function upLevel(g: Graph, x: Value, level: Level, upsamples: boolean, conditions: Conditions): Value {
  const { from, to } = level.channels;
  let current = x;
  for (let j = 0; j < level.blocks; j++) {
    const name = `resnet_attn_blocks.${j}`;
    const isFirst = j === 0;
    const width = isFirst && upsamples ? 2 * to : to;
    const resampling: Resampling = isFirst && upsamples ? 'up' : undefined;
    current = optionalTemporalResNet(g, `${name}.3`, current, width, conditions);
    current = resNetBlock(g, `${name}.0`, current, { from: width, to: width, resampling }, conditions);
    if (level.crossAttention) {
      current = attentionBlock(g, `${name}.1`, current, width, 'context', conditions);
    }
    current = optionalTemporalResNet(g, `${name}.4`, current, width, conditions);
    const out = j === level.blocks - 1 ? from : to;
    current = resNetBlock(g, `${name}.2`, current, { from: width, to: out }, conditions);
  }
  if (level.selfAttention) {
    current = optionalTemporalAttention(g, current, from, conditions);
    current = attentionBlock(g, 'self_attention_block', current, from, 'self', conditions);
  }
  return current;
}

function optionalTemporalResNet(g: Graph, name: string, x: Value, channels: number, conditions: Conditions): Value {
  return conditions.positions === undefined ? x : temporalResNetBlock(g, name, x, channels, conditions);
}

function optionalTemporalAttention(g: Graph, x: Value, channels: number, conditions: Conditions): Value {
  return conditions.positions === undefined
    ? x
    : temporalAttentionBlock(g, 'temporal_attention_block', x, channels, conditions);
}
