import { attention, type Tokens } from './attention.ts';
import { conditionalGroupNorm } from './conditional-group-norm.ts';
import { residualFeedForward } from './feed-forward.ts';
import { convolution, convolution1x1, doublingConvolution, halvingConvolution } from './layers.ts';
import type { Conditions } from './unet-conditions.ts';
import { type Layer, named, silu, when } from './value.ts';

/** Whether a block doubles or halves height and width. */
export type Resampling = 'up' | 'down' | undefined;

interface BlockShape {
  to: number;
  kernel: 1 | 3;
  resampling: Resampling;
}

/** The block `name` that residual blocks are made of: norm, SiLU, convolution, with the resampling around it. */
function block(name: string, { to, kernel, resampling }: BlockShape, conditions: Conditions): Layer {
  const { config, time, temporal } = conditions;
  return named(name, (x) =>
    x.through(
      conditionalGroupNorm('group_norm', time, config.groups),
      silu,
      when(resampling === 'up', () => doublingConvolution('up_sample')),
      convolution('projection', { to, kernel, padding: (kernel - 1) / 2 }),
      when(temporal.layer !== undefined, () => temporal.layer!),
      when(resampling === 'down', () => halvingConvolution('down_sample')),
    ),
  );
}

/** Residual block `name`: x `[frames, C, h, w]` → `[frames, to, h', w']`. */
export function resNetBlock(name: string, to: number, resampling: Resampling, conditions: Conditions): Layer {
  return named(name, (x) => {
    const hidden = Math.max(x.channels, to) / conditions.config.compression_ratio;
    const at = (here: Resampling) => (resampling === here ? resampling : undefined);
    const residual = x.through(
      block('resnet_blocks.0', { to: hidden, kernel: 1, resampling: undefined }, conditions),
      block('resnet_blocks.1', { to: hidden, kernel: 3, resampling: at('up') }, conditions),
      block('resnet_blocks.2', { to: hidden, kernel: 3, resampling: at('down') }, conditions),
      block('resnet_blocks.3', { to, kernel: 1, resampling: undefined }, conditions),
    );
    const shortcut = x.through(
      when(resampling === 'up', () => doublingConvolution('shortcut_up_sample')),
      when(x.channels !== to, () => convolution1x1('shortcut_projection', to)),
      when(resampling === 'down', () => halvingConvolution('shortcut_down_sample')),
    );
    return shortcut.plus(residual);
  });
}

/**
 * Attention block `name` over the positions of each frame of x `[frames, channels, h, w]`, perhaps with a temporal layer, or
 * over the text.
 */
export function attentionBlock(name: string, over: 'self' | 'context', conditions: Conditions): Layer {
  const { config, frames, time, context, temporal } = conditions;
  const hasLayer = over === 'self' && temporal.attentionLayer !== undefined;
  return named(name, (x) => {
    const { channels } = x;
    const norm = x.through(conditionalGroupNorm('in_norm', time, config.groups)).reshape(0, channels, -1);
    const values = norm.transpose(0, 2, 1).reshape(-1, channels);
    // Frames with the same context are contiguous: all their positions are queries of one attention.
    const queries: Tokens = { values, grid: [over === 'self' ? frames.total : context.rows, -1] };
    const sizes = { channels, headSize: config.head_dim };
    const attended =
      over === 'self'
        ? attention('attention', queries, queries, sizes)
        : attention('attention', queries, context.tokens, { ...sizes, bias: context.maskBias });
    const byFrame = attended.reshape(frames.total, -1, channels).transpose(0, 2, 1);
    return x.plus(byFrame.reshape(x.sizes(0, 4))).through(
      when(hasLayer, () => temporal.attentionLayer!),
      residualFeedForward('out_norm', time, config),
    );
  });
}
