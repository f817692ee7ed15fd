import { attentionWeights } from './attention.ts';
import { convolution1x1, convolution3x3, groupNorm } from './layers.ts';
import { type Layer, named, silu, type Value, when } from './value.ts';

const epsilon = 1e-6;

/** Group normalisation `name` of x `[n, channels, h, w]`; spatial in the decoder, see {@link spatialNorm}. */
export type Norm = (name: string) => Layer;

/** The encoder's norm. */
export function plainNorm(groups: number): Norm {
  return (name) => named(name, groupNorm('norm_layer', groups, epsilon));
}

/** The decoder's norm, whose scale and shift at every position come from the latents, resized to `zoomed`. */
export function spatialNorm(zoomed: Value, groups: number): Norm {
  return (name) =>
    named(name, (x) => {
      const normalized = x.through(groupNorm('norm_layer', groups, epsilon));
      const scaled = normalized.times(zoomed.through(convolution1x1('conv_y', x.channels)));
      return scaled.plus(zoomed.through(convolution1x1('conv_b', x.channels)));
    });
}

/** Convolution `conv1` or `conv2` of a residual block: x `[n, C, h, w]` → `[n, to, h, w]`. */
export type Convolve = (index: 1 | 2, to: number) => Layer;

const convolveFrame: Convolve = (index, to) => convolution3x3(`conv${index}`, to);

/** Residual block `name`: x `[n, C, h, w]` → `[n, to, h, w]`. */
export function resNetBlock(name: string, to: number, norm: Norm, convolve: Convolve = convolveFrame): Layer {
  return named(name, (x) => {
    const residual = x.through(norm('norm1'), silu, convolve(1, to), norm('norm2'), silu, convolve(2, to));
    return x.through(when(x.channels !== to, () => convolution1x1('nin_shortcut', to))).plus(residual);
  });
}

/** Single-head attention `name` over all positions of x `[n, channels, h, w]`. */
export function attentionBlock(name: string, norm: Norm): Layer {
  return named(name, (x) => {
    const { channels } = x;
    const normalized = x.through(norm('norm'));
    const project = (layer: string) => normalized.through(convolution1x1(layer, channels)).reshape(0, channels, -1);
    const queries = project('q')
      .transpose(0, 2, 1)
      .times(channels ** -0.5);
    const weights = attentionWeights(queries, project('k'));
    const attended = project('v').matmul(weights.transpose(0, 2, 1));
    return x.plus(attended.reshape(x.sizes(0, 4)).through(convolution1x1('proj_out', channels)));
  });
}
