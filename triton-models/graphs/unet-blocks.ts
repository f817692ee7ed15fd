import { attention, type Tokens } from './attention.ts';
import { conditionalGroupNorm } from './conditional-group-norm.ts';
import { feedForward } from './feed-forward.ts';
import type { Graph, Value } from './graph.ts';
import { convolution, doublingConvolution, halvingConvolution } from './layers.ts';
import { add, reshape, silu, sizesOf, transpose } from './operators.ts';
import { temporalLayer } from './temporal.ts';
import type { Conditions } from './unet-conditions.ts';

/** Whether a block changes height and width: twice or half as much. */
export type Resampling = 'up' | 'down' | undefined;

interface BlockShape {
  from: number;
  to: number;
  kernel: 1 | 3;
  resampling: Resampling;
}

/** The block `name` that residual blocks are made of: norm, SiLU, convolution, with the resampling around it. */
function block(g: Graph, name: string, x: Value, shape: BlockShape, conditions: Conditions): Value {
  const { from, to, kernel, resampling } = shape;
  const { config, frames, time, positions } = conditions;
  return g.module(name, () => {
    const activated = silu(g, conditionalGroupNorm(g, 'group_norm', x, time, from, config.groups));
    const enlarged = resampling === 'up' ? doublingConvolution(g, 'up_sample', activated, from) : activated;
    const padding = (kernel - 1) / 2;
    const projected = convolution(g, 'projection', enlarged, { inChannels: from, outChannels: to, kernel, padding });
    const merged = positions === undefined ? temporalLayer(g, projected, to, frames) : projected;
    return resampling === 'down' ? halvingConvolution(g, 'down_sample', merged, to) : merged;
  });
}

/** Residual block `name`: x `[frames, from, h, w]` → `[frames, to, h', w']`. */
export function resNetBlock(
  g: Graph,
  name: string,
  x: Value,
  shape: { from: number; to: number; resampling?: Resampling },
  conditions: Conditions,
): Value {
  const { from, to, resampling } = shape;
  const hidden = Math.max(from, to) / conditions.config.compression_ratio;
  const widths = [from, hidden, hidden, hidden, to];
  return g.module(name, () => {
    const residual = ([1, 3, 3, 1] as const).reduce((input, kernel, i) => {
      const resamplesHere = (resampling === 'up' && i === 1) || (resampling === 'down' && i === 2);
      return block(
        g,
        `resnet_blocks.${i}`,
        input,
        { from: widths[i]!, to: widths[i + 1]!, kernel, resampling: resamplesHere ? resampling : undefined },
        conditions,
      );
    }, x);
    let shortcut = resampling === 'up' ? doublingConvolution(g, 'shortcut_up_sample', x, from) : x;
    if (from !== to) {
      shortcut = convolution(g, 'shortcut_projection', shortcut, { inChannels: from, outChannels: to, kernel: 1 });
    }
    if (resampling === 'down') {
      shortcut = halvingConvolution(g, 'shortcut_down_sample', shortcut, to);
    }
    return add(g, shortcut, residual);
  });
}

/** Attention block `name` over the positions of each frame of x `[frames, channels, h, w]`, or over the text. */
export function attentionBlock(
  g: Graph,
  name: string,
  x: Value,
  channels: number,
  over: 'self' | 'context',
  conditions: Conditions,
): Value {
  const { config, frames, time, context } = conditions;
  return g.module(name, () => {
    const norm = reshape(g, conditionalGroupNorm(g, 'in_norm', x, time, channels, config.groups), [0, channels, -1]);
    const values = reshape(g, transpose(g, norm, [0, 2, 1]), [-1, channels]);
    // Frames that share a context lie one after the other: their positions are the queries of one attention.
    const rows = over === 'self' ? frames.total : context.tokens.rows;
    const queries: Tokens = { values, channels, rows, length: -1 };
    const attended =
      over === 'self'
        ? attention(g, 'attention', queries, queries, channels, config.head_dim)
        : attention(g, 'attention', queries, context.tokens, channels, config.head_dim, context.maskBias);
    const byFrame = transpose(g, reshape(g, attended, [frames.total, -1, channels]), [0, 2, 1]);
    return feedForward(g, add(g, x, reshape(g, byFrame, [sizesOf(g, x, 0, 4)])), channels, conditions);
  });
}
