import type { Graph, Value } from './graph.ts';
import { convolution, groupNorm } from './layers.ts';
import { add, multiply, reshape, silu, sizesOf, transpose } from './operators.ts';

const epsilon = 1e-6;

/** Group normalisation `name` of x `[n, channels, h, w]`; the decoder's is spatial, see {@link spatialNorm}. */
export type Norm = (g: Graph, name: string, x: Value, channels: number) => Value;

/** The encoder's norm. */
export function plainNorm(groups: number): Norm {
  return (g, name, x, channels) => g.module(name, () => groupNorm(g, 'norm_layer', x, channels, groups, epsilon));
}

/** The decoder's norm: its scale and shift at every position come from the latents, resized to `zoomed`. */
export function spatialNorm(zoomed: Value, zChannels: number, groups: number): Norm {
  return (g, name, x, channels) =>
    g.module(name, () => {
      const normalized = groupNorm(g, 'norm_layer', x, channels, groups, epsilon);
      const shape = { inChannels: zChannels, outChannels: channels, kernel: 1 };
      const scale = convolution(g, 'conv_y', zoomed, shape);
      return add(g, multiply(g, normalized, scale), convolution(g, 'conv_b', zoomed, shape));
    });
}

/** Convolution `conv1` or `conv2` of a residual block: x `[n, from, h, w]` → `[n, to, h, w]`. */
export type Convolve = (g: Graph, index: 1 | 2, x: Value, from: number, to: number) => Value;

const convolveFrame: Convolve = (g, index, x, from, to) => convolution(g, `conv${index}`, x, square(from, to));

/** Residual block `name`: x `[n, from, h, w]` → `[n, to, h, w]`. */
export function resNetBlock(
  g: Graph,
  name: string,
  x: Value,
  from: number,
  to: number,
  norm: Norm,
  convolve: Convolve = convolveFrame,
): Value {
  return g.module(name, () => {
    const first = convolve(g, 1, silu(g, norm(g, 'norm1', x, from)), from, to);
    const second = convolve(g, 2, silu(g, norm(g, 'norm2', first, to)), to, to);
    const shortcut =
      from === to ? x : convolution(g, 'nin_shortcut', x, { inChannels: from, outChannels: to, kernel: 1 });
    return add(g, shortcut, second);
  });
}

/** Single-head attention `name` over all positions of x `[n, channels, h, w]`. */
export function attentionBlock(g: Graph, name: string, x: Value, channels: number, norm: Norm): Value {
  return g.module(name, () => {
    const shape = { inChannels: channels, outChannels: channels, kernel: 1 };
    const normalized = norm(g, 'norm', x, channels);
    const project = (layer: string) => reshape(g, convolution(g, layer, normalized, shape), [0, channels, -1]);
    const queries = multiply(g, transpose(g, project('q'), [0, 2, 1]), g.floats([channels ** -0.5], []));
    const weights = g.node('Softmax', [g.node('MatMul', [queries, project('k')])], { axis: -1 });
    const attended = g.node('MatMul', [project('v'), transpose(g, weights, [0, 2, 1])]);
    return add(g, x, convolution(g, 'proj_out', reshape(g, attended, [sizesOf(g, x, 0, 4)]), shape));
  });
}

/** A 3×3 convolution that keeps height and width. */
export const square = (inChannels: number, outChannels: number) => ({ inChannels, outChannels, kernel: 3, padding: 1 });
