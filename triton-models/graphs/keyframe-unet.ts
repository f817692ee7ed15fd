import type { UNetConfig } from '../../services/pipeline/networks/unet.ts';
import type { Graph, Value } from './graph.ts';
import { numberEmbedding } from './layers.ts';
import { add, multiply, range, reshape, sizesOf, toFloat } from './operators.ts';
import { unet } from './unet.ts';
import {
  byFrame,
  type Context,
  type Frames,
  normEmbedding,
  type PooledContext,
  poolContext,
  textContext,
} from './unet-conditions.ts';

/**
 * The keyframe U-Net as it is served, one item a video: latents `[B, T, 4, h, w]`, timestep `[B, 1]`, positions `[B, T]`,
 * context `[B, N, D]`, context_mask `[B, N]`, unconditional `[B, 1]` → prediction `[B, T, 4, h, w]` (the noise).
 * Where `unconditional` is true the null embedding takes the context's place.
 */
export function keyframeUNet(g: Graph, config: UNetConfig): void {
  const { num_channels: channels, context_dim: dim } = config;
  const perVideo = config.num_frames!;
  const latents = g.input('latents', 'float32', ['videos', perVideo, channels, 'height', 'width']);
  const timestep = g.input('timestep', 'float32', ['videos', 1]);
  const positions = g.input('positions', 'float32', ['videos', perVideo]);
  const givenContext = g.input('context', 'float32', ['videos', 'tokens', dim]);
  const givenMask = g.input('context_mask', 'bool', ['videos', 'tokens']);
  const unconditional = g.input('unconditional', 'bool', ['videos', 1]);

  const x = reshape(g, latents, [-1, channels, sizesOf(g, latents, 3, 5)]);
  const frames = { videos: sizesOf(g, latents, 0, 1), perVideo, total: sizesOf(g, x, 0, 1) };
  const empty = nullContext(g, dim, sizesOf(g, givenContext, 1, 2));
  const embeddings = g.node('Where', [reshape(g, unconditional, [-1, 1, 1]), empty.embeddings, givenContext]);
  // ONNX Runtime has no Where over booleans.
  const conditional = g.node('Not', [unconditional]);
  const mask = g.node('Or', [g.node('And', [unconditional, empty.mask]), g.node('And', [conditional, givenMask])]);
  const context = textContext(g, embeddings, mask, frames.videos, dim);
  const time = reshape(g, timestep, [-1]);

  const prediction = predict(g, config, { x, frames, time, positions, embeddings, context, timeRowsAre: 'videos' });
  const shaped = reshape(g, prediction, [sizesOf(g, latents, 0, 2), config.out_channels, sizesOf(g, latents, 3, 5)]);
  g.output('prediction', shaped, 'float32', ['videos', perVideo, config.out_channels, 'height', 'width']);
}

/**
 * The same network in the layout of the published code, which can tell every frame its own time and text:
 * x `[B·T, 4, h, w]`, time and temporal_embed `[B·T]`, context `[B·T, N, D]`, context_mask `[B·T, N]` → output.
 */
export function keyframeUNetByFrame(g: Graph, config: UNetConfig): void {
  const { num_channels: channels, context_dim: dim } = config;
  const perVideo = config.num_frames!;
  const x = g.input('x', 'float32', ['frames', channels, 'height', 'width']);
  const time = toFloat(g, g.input('time', 'int64', ['frames']));
  const positions = toFloat(g, g.input('temporal_embed', 'int64', ['frames']));
  const embeddings = g.input('context', 'float32', ['frames', 'tokens', dim]);
  const mask = g.input('context_mask', 'bool', ['frames', 'tokens']);

  const total = sizesOf(g, x, 0, 1);
  const frames = { videos: g.node('Div', [total, g.integers([perVideo])]), perVideo, total };
  const context = textContext(g, embeddings, mask, total, dim);
  const output = predict(g, config, { x, frames, time, positions, embeddings, context, timeRowsAre: 'frames' });
  g.output('output', output, 'float32', ['frames', config.out_channels, 'height', 'width']);
}

interface Inputs {
  x: Value;
  frames: Frames;
  /** Diffusion steps, one for each video or each frame. */
  time: Value;
  timeRowsAre: 'videos' | 'frames';
  positions: Value;
  embeddings: Value;
  context: Context;
}

function predict(g: Graph, config: UNetConfig, inputs: Inputs): Value {
  const { x, frames, context } = inputs;
  const size = config.time_embed_dim;
  const ofStep = numberEmbedding(g, 'to_time_embed', inputs.time, config.init_channels, size);
  const pooled = poolContext(g, config, ofStep, inputs.embeddings, context);
  const position = numberEmbedding(g, 'to_temporal_embed', inputs.positions, config.init_channels, size);
  const sharedBy = inputs.timeRowsAre === 'videos' ? frames : undefined;
  const isPerFrame = config.frame_position_in_time_embed;
  const time = isPerFrame ? frameEmbedding(g, pooled, position, sharedBy) : pooled.time;
  g.remember('time_embed', time);
  return unet(g, x, {
    config,
    frames,
    context,
    time: normEmbedding(g, time, size, isPerFrame ? undefined : sharedBy),
    positions: normEmbedding(g, position, size),
  });
}

/**
 * Ours: time + text + position + text ⊙ position for every frame. The sum alone tells a norm where in time a frame is
 * and what the text says, but not what the text says of that time, such as that an object moving left is now left.
 */
function frameEmbedding(g: Graph, pooled: PooledContext, position: Value, sharedBy: Frames | undefined): Value {
  const sum = add(g, byFrame(g, pooled.time, sharedBy), position);
  return add(g, sum, multiply(g, byFrame(g, pooled.found, sharedBy), position));
}

/** Stands for no text: the null embedding as token 0 and the only one unmasked, zeros after it, `tokens` in all. */
function nullContext(g: Graph, dim: number, tokens: Value): { embeddings: Value; mask: Value } {
  const isFirst = g.node('Equal', [range(g, tokens), g.integers([0], [])]);
  const firstAsColumn = toFloat(g, reshape(g, isFirst, [-1, 1]));
  return { embeddings: multiply(g, firstAsColumn, g.parameter('null_embedding', [dim])), mask: isFirst };
}
