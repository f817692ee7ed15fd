import { skipValues, type UNetConfig } from '../../services/pipeline/networks/unet.ts';
import type { Graph, Value } from './graph.ts';
import { numberEmbedding } from './layers.ts';
import { add, multiply, reshape, sizesOf, toFloat } from './operators.ts';
import { unet } from './unet.ts';
import { type Context, type Frames, normEmbedding, poolContext, textContext } from './unet-conditions.ts';

/**
 * The interpolation U-Net as it is served, one item a pass over a video of G pairs of neighbouring frames: latents
 * `[B, G, 20, h, w]` (left 4, noisy middle frames 12, right 4), timestep and skip `[B, 1]` → prediction
 * `[B, G, 12, h, w]` (v). The context is always the null embedding, the keyframes are taken as unperturbed.
 */
export function interpolationUNet(g: Graph, config: UNetConfig): void {
  const { num_channels: channels, context_dim: dim } = config;
  const latents = g.input('latents', 'float32', ['videos', 'groups', channels, 'height', 'width']);
  const timestep = g.input('timestep', 'float32', ['videos', 1]);
  const skip = g.input('skip', 'int64', ['videos', 1]);

  const x = reshape(g, latents, [-1, channels, sizesOf(g, latents, 3, 5)]);
  const frames = { videos: sizesOf(g, latents, 0, 1), perVideo: sizesOf(g, latents, 1, 2), total: sizesOf(g, x, 0, 1) };
  // Two tokens, the second a masked zero, in one row that all videos share.
  const nullEmbedding = g.parameter('null_embedding', [dim], [1, 1, dim]);
  const embeddings = g.node('Concat', [nullEmbedding, g.floats(new Array(dim).fill(0), [1, 1, dim])], { axis: 1 });
  const mask = g.node('Cast', [g.integers([1, 0], [1, 2])], { to: 9 });
  const context = textContext(g, embeddings, mask, 1, dim);
  const [time, skips] = [reshape(g, timestep, [-1]), reshape(g, skip, [-1])];

  const prediction = predict(g, config, { x, frames, time, skips, embeddings, context, rowsAre: 'videos' });
  const shaped = reshape(g, prediction, [sizesOf(g, latents, 0, 2), config.out_channels, sizesOf(g, latents, 3, 5)]);
  g.output('prediction', shaped, 'float32', ['videos', 'groups', config.out_channels, 'height', 'width']);
}

/**
 * The same network in the layout of the published code, which can tell every group its own time, skip and text:
 * x `[B·G, 20, h, w]`, time and skip_frames `[B·G]`, context `[B·G, N, D]`, context_mask `[B·G, N]` → output.
 */
export function interpolationUNetByFrame(g: Graph, config: UNetConfig, groups: number): void {
  const { num_channels: channels, context_dim: dim } = config;
  const x = g.input('x', 'float32', ['groups', channels, 'height', 'width']);
  const time = toFloat(g, g.input('time', 'int64', ['groups']));
  const skips = g.input('skip_frames', 'int64', ['groups']);
  const embeddings = g.input('context', 'float32', ['groups', 'tokens', dim]);
  const mask = g.input('context_mask', 'bool', ['groups', 'tokens']);

  const total = sizesOf(g, x, 0, 1);
  const frames = { videos: g.node('Div', [total, g.integers([groups])]), perVideo: groups, total };
  const context = textContext(g, embeddings, mask, total, dim);
  const output = predict(g, config, { x, frames, time, skips, embeddings, context, rowsAre: 'frames' });
  g.output('output', output, 'float32', ['groups', config.out_channels, 'height', 'width']);
}

interface Inputs {
  x: Value;
  frames: Frames;
  /** Diffusion steps, one for each video or each frame; the skip values as well. */
  time: Value;
  skips: Value;
  rowsAre: 'videos' | 'frames';
  embeddings: Value;
  context: Context;
}

function predict(g: Graph, config: UNetConfig, inputs: Inputs): Value {
  const { x, frames, context } = inputs;
  const size = config.time_embed_dim;
  const ofStep = numberEmbedding(g, 'to_time_embed', inputs.time, config.init_channels, size);
  const pooled = poolContext(g, config, ofStep, inputs.embeddings, context).time;
  const time = addSkip(g, mixPerturbation(g, pooled, config), inputs.skips, size);
  g.remember('time_embed', time);
  return unet(g, x, {
    config,
    frames,
    context,
    time: normEmbedding(g, time, size, inputs.rowsAre === 'videos' ? frames : undefined),
  });
}

/** Mixes in the embedding of how much noise was put on the keyframes: none, when sampling. */
function mixPerturbation(g: Graph, time: Value, config: UNetConfig): Value {
  const { init_channels: sinusoid, time_embed_dim: size } = config;
  const perturbation = numberEmbedding(g, 'perturbation_to_time_embed', g.floats([0]), sinusoid, size);
  const merge = g.parameter('time_embed_merge', [1]);
  const rest = g.node('Sub', [g.floats([1]), merge]);
  return add(g, multiply(g, perturbation, merge), multiply(g, time, rest));
}

function addSkip(g: Graph, time: Value, skips: Value, size: number): Value {
  const table = g.parameter('skip_embeddings.weight', [skipValues, size]);
  const embedding = g.node('Gather', [table, skips], { axis: 0 });
  return add(g, time, multiply(g, embedding, g.parameter('skip_merge', [1])));
}
