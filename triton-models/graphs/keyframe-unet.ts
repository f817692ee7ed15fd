import { tensorSpec } from '../../services/pipeline/networks/network-interface.ts';
import { keyframeUNetInterface, type UNetConfig } from '../../services/pipeline/networks/unet.ts';
import type { Embedding } from './conditional-group-norm.ts';
import { byFrame, type Frames, foldFrames, framesOf } from './frames.ts';
import type { Graph } from './graph.ts';
import { numberEmbedding } from './layers.ts';
import {
  type TemporalBlocks,
  temporalAttentionBlock,
  temporalAttentionLayer,
  temporalLayer,
  temporalResNetBlock,
} from './temporal.ts';
import { unet } from './unet.ts';
import {
  type Context,
  normEmbedding,
  optionalContext,
  type PooledContext,
  poolContext,
  type TemporalParts,
  textContext,
} from './unet-conditions.ts';
import type { Value } from './value.ts';

/** The served keyframe U-Net, see {@link keyframeUNetInterface}. It predicts the noise, or v. */
export function keyframeUNet(g: Graph, config: UNetConfig): void {
  const { inputs, outputs } = keyframeUNetInterface(config);
  const { latents, timestep, positions, context: given, context_mask: givenMask, unconditional } = g.takes(inputs);

  const { folded, frames } = foldFrames(latents, config.num_frames!);
  const context = optionalContext(g, { given, givenMask, unconditional }, frames.videos);
  const time = timestep.reshape(-1);

  const prediction = predict(config, { x: folded, frames, time, positions, context, timeRowsAre: 'videos' });
  const shaped = prediction.reshape(latents.sizes(0, 2), config.out_channels, latents.sizes(3, 5));
  g.gives(outputs, { prediction: shaped });
}

/**
 * The same network in the layout of the published code, where every frame can have its own time and text:
 * x `[B·T, 4, h, w]`, time and temporal_embed `[B·T]`, context `[B·T, N, D]`, context_mask `[B·T, N]` → output.
 */
export function keyframeUNetByFrame(g: Graph, config: UNetConfig): void {
  const { num_channels: channels, context_dim: dim } = config;
  const x = g.input('x', tensorSpec('float32', 'frames', channels, 'height', 'width'));
  const time = g.input('time', tensorSpec('int64', 'frames')).cast('float32');
  const positions = g.input('temporal_embed', tensorSpec('int64', 'frames')).cast('float32');
  const embeddings = g.input('context', tensorSpec('float32', 'frames', 'tokens', dim));
  const mask = g.input('context_mask', tensorSpec('bool', 'frames', 'tokens'));

  const frames = framesOf(x, config.num_frames!);
  const context = textContext(embeddings, mask, frames.total);
  const output = predict(config, { x, frames, time, positions, context, timeRowsAre: 'frames' });
  g.output('output', output, ['frames', config.out_channels, 'height', 'width']);
}

interface Inputs {
  x: Value;
  frames: Frames;
  /** Diffusion steps, one per video or per frame. */
  time: Value;
  timeRowsAre: 'videos' | 'frames';
  positions: Value;
  context: Context;
}

function predict(config: UNetConfig, inputs: Inputs): Value {
  const { x, frames, context } = inputs;
  const { init_channels: sinusoid, time_embed_dim: size } = config;
  const ofStep = inputs.time.through(numberEmbedding('to_time_embed', sinusoid, size));
  const pooled = poolContext(ofStep, context, config);
  const position = inputs.positions.through(numberEmbedding('to_temporal_embed', sinusoid, size));
  const sharedBy = inputs.timeRowsAre === 'videos' ? frames : undefined;
  const isPerFrame = config.frame_position_in_time_embed;
  const time = isPerFrame ? frameEmbedding(pooled, position, sharedBy) : pooled.time;
  x.graph.remember('time_embed', time);
  const timeEmbedding = normEmbedding(time, isPerFrame ? undefined : sharedBy);
  const positionEmbedding = normEmbedding(position);
  const temporal = temporalParts({ config, frames }, timeEmbedding, positionEmbedding);
  return unet(x, { config, frames, context, time: timeEmbedding, temporal });
}

/** Layers inside the spatial blocks, or blocks after them. */
function temporalParts(blocks: TemporalBlocks, time: Embedding, position: Embedding): TemporalParts {
  if (blocks.config.temporal_conditioning === 'Conv1dAttn1dLayers') {
    return { layer: temporalLayer(blocks.frames), attentionLayer: temporalAttentionLayer(position, blocks) };
  }
  const norms = { before: ['in_norm', position], after: ['out_norm', time] } as const;
  return {
    resNet: (name) => temporalResNetBlock(name, time, blocks),
    attention: (name) => temporalAttentionBlock(name, norms, blocks),
  };
}

/**
 * Ours: time + text + position + text ⊙ position for every frame. The sum alone gives a norm the frame's position and
 * the text, but not what the text implies at that position, such as that an object moving left is now on the left.
 */
function frameEmbedding(pooled: PooledContext, position: Value, sharedBy: Frames | undefined): Value {
  const sum = byFrame(pooled.time, sharedBy).plus(position);
  return sum.plus(byFrame(pooled.found, sharedBy).times(position));
}
