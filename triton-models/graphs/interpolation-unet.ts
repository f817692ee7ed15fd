import { tensorSpec } from '../../services/pipeline/networks/network-interface.ts';
import {
  interpolationUNetInterface,
  skipValues,
  type UNetConfig,
  type UNetSizes,
} from '../../services/pipeline/networks/unet.ts';
import { type Frames, foldFrames, framesOf } from './frames.ts';
import type { Graph } from './graph.ts';
import { mergeShares, numberEmbedding } from './layers.ts';
import { temporalLayer } from './temporal.ts';
import { unet } from './unet.ts';
import { type Context, normEmbedding, poolContext, textContext } from './unet-conditions.ts';
import { concat, type Layer, type Value } from './value.ts';

/**
 * The served interpolation U-Net, see {@link interpolationUNetInterface}. It predicts v. The context is always the null
 * embedding. Without `perturbation_input` the given frames count as free of noise.
 */
export function interpolationUNet(g: Graph, config: UNetConfig): void {
  const { inputs, outputs } = interpolationUNetInterface(config);
  const { latents, timestep, skip, perturbation } = g.takes(inputs);
  const dim = config.context_dim;

  const { folded, frames } = foldFrames(latents, config.sequence_frames);
  // Two tokens, the second a masked zero, in one row shared by all videos.
  const nullEmbedding = g.parameter('null_embedding', [dim], [1, 1, dim]);
  const embeddings = concat([nullEmbedding, g.floats(new Array(dim).fill(0), [1, 1, dim])], 1);
  const mask = g.integers([1, 0], [1, 2]).cast('bool');
  const context = textContext(embeddings, mask, 1);
  const prediction = predict(config, {
    x: folded,
    frames,
    time: timestep.reshape(-1),
    skips: skip.reshape(-1),
    perturbation: perturbation?.reshape(-1),
    context,
    rowsAre: 'videos',
  });
  const shaped = prediction.reshape(latents.sizes(0, 2), config.out_channels, latents.sizes(3, 5));
  g.gives(outputs, { prediction: shaped });
}

/**
 * The same network in the layout of the published code, where every group can have its own time, skip and text:
 * x `[B·G, 20, h, w]`, time and skip_frames `[B·G]`, with `perturbation_input` perturbation `[B·G]`, context `[B·G, N, D]`,
 * context_mask `[B·G, N]` → output.
 */
export function interpolationUNetByFrame(g: Graph, config: UNetConfig, groups: number): void {
  const { num_channels: channels, context_dim: dim } = config;
  const x = g.input('x', tensorSpec('float32', 'groups', channels, 'height', 'width'));
  const time = g.input('time', tensorSpec('int64', 'groups')).cast('float32');
  const skips = g.input('skip_frames', tensorSpec('int64', 'groups'));
  const perturbation = config.perturbation_input
    ? g.input('perturbation', tensorSpec('int64', 'groups')).cast('float32')
    : undefined;
  const embeddings = g.input('context', tensorSpec('float32', 'groups', 'tokens', dim));
  const mask = g.input('context_mask', tensorSpec('bool', 'groups', 'tokens'));

  const frames = framesOf(x, groups);
  const context = textContext(embeddings, mask, frames.total);
  const output = predict(config, { x, frames, time, skips, perturbation, context, rowsAre: 'frames' });
  g.output('output', output, ['groups', config.out_channels, 'height', 'width']);
}

interface Inputs {
  x: Value;
  frames: Frames;
  /** Diffusion steps, one per video or per frame; likewise the skip values and the noise levels of the given frames. */
  time: Value;
  skips: Value;
  /** Undefined: no noise. */
  perturbation: Value | undefined;
  rowsAre: 'videos' | 'frames';
  context: Context;
}

function predict(config: UNetConfig, inputs: Inputs): Value {
  const { x, frames, context, skips } = inputs;
  const ofStep = inputs.time.through(numberEmbedding('to_time_embed', config.init_channels, config.time_embed_dim));
  const pooled = poolContext(ofStep, context, config).time;
  const time = pooled.through(mixPerturbation(config, inputs.perturbation), addSkip(skips));
  x.graph.remember('time_embed', time);
  return unet(x, {
    config,
    frames,
    context,
    time: normEmbedding(time, inputs.rowsAre === 'videos' ? frames : undefined),
    temporal: { layer: temporalLayer(frames) },
  });
}

/** Mixes in the embedding of the given frames' noise level; without one, that of 0. */
export function mixPerturbation({ init_channels: sinusoid, time_embed_dim: size }: UNetSizes, level?: Value): Layer {
  return (time) => {
    const given = level ?? time.graph.floats([0]);
    const perturbation = given.through(numberEmbedding('perturbation_to_time_embed', sinusoid, size));
    const { share, rest } = mergeShares(time, 'time_embed_merge');
    return perturbation.times(share).plus(time.times(rest));
  };
}

export function addSkip(skips: Value): Layer {
  return (time) => {
    const { graph } = time;
    const embedding = graph.parameter('skip_embeddings.weight', [skipValues, time.size(-1)]).rows(skips);
    return time.plus(embedding.times(graph.parameter('skip_merge', [1])));
  };
}
