import { tensorSpec } from '../../services/pipeline/networks/network-interface.ts';
import {
  type InterpolationUNet11Config,
  interpolationUNet11Interface,
  seesPerturbation,
} from '../../services/pipeline/networks/unet-1.1.ts';
import { byFrame, type Frames, foldFrames, framesOf } from './frames.ts';
import type { Graph } from './graph.ts';
import { addSkip, mixPerturbation } from './interpolation-unet.ts';
import { numberEmbedding } from './layers.ts';
import { mergedTemporalAttentionBlock, temporalLayer } from './temporal.ts';
import { unet } from './unet.ts';
import { type Context, normEmbedding, optionalContext, poolContext, textContext } from './unet-conditions.ts';
import { named, type Value, when } from './value.ts';

/** The served interpolation U-Net of Kandinsky Video 1.1, see {@link interpolationUNet11Interface}. It predicts v. */
export function interpolationUNet11(g: Graph, config: InterpolationUNet11Config): void {
  const { inputs, outputs } = interpolationUNet11Interface(config);
  const {
    latents,
    timestep,
    skip,
    perturbation,
    context: given,
    context_mask: givenMask,
    unconditional,
  } = g.takes(inputs);
  const { folded, frames } = foldFrames(latents);
  const prediction = predict(config, {
    x: folded,
    frames,
    time: timestep.reshape(-1),
    skips: skip.reshape(-1),
    perturbation: perturbation?.reshape(-1),
    context: optionalContext(g, { given, givenMask, unconditional }, frames.videos),
    temporalMask: byFrame(unconditional.node('Not').cast('float32'), frames),
    rowsAre: 'videos',
  });
  g.gives(outputs, { prediction: prediction.reshape(latents.sizes(0, 2), config.out_channels, latents.sizes(3, 5)) });
}

/**
 * The same network in the layout of the published code, where every group has its own conditions: x `[B·G, 20, h, w]`;
 * time, perturbation_time, skip_frames and temporal_mask `[B·G]`, context `[B·G, N, D]`, context_mask `[B·G, N]` → output.
 */
export function interpolationUNet11ByFrame(g: Graph, config: InterpolationUNet11Config, groups: number): void {
  const { num_channels: channels, context_dim: dim } = config;
  const x = g.input('x', tensorSpec('float32', 'groups', channels, 'height', 'width'));
  const number = (name: string) => g.input(name, tensorSpec('int64', 'groups'));
  const time = number('time').cast('float32');
  const perturbation = number('perturbation_time').cast('float32');
  const skips = number('skip_frames');
  const embeddings = g.input('context', tensorSpec('float32', 'groups', 'tokens', dim));
  const mask = g.input('context_mask', tensorSpec('bool', 'groups', 'tokens'));
  const temporalMask = g.input('temporal_mask', tensorSpec('float32', 'groups'));
  const frames = framesOf(x, groups);
  const context = textContext(embeddings, mask, frames.total);
  const output = predict(config, { x, frames, time, perturbation, skips, context, temporalMask, rowsAre: 'frames' });
  g.output('output', output, ['groups', config.out_channels, 'height', 'width']);
}

interface Inputs {
  x: Value;
  frames: Frames;
  /** Diffusion steps, one per video or per group; likewise skip values and noise levels of the given frames. */
  time: Value;
  skips: Value;
  /** Undefined: none. */
  perturbation: Value | undefined;
  rowsAre: 'videos' | 'frames';
  context: Context;
  /** 1 for each group that sees the others, 0 for each that doesn't. */
  temporalMask: Value;
}

function predict(config: InterpolationUNet11Config, inputs: Inputs): Value {
  const { x, frames, context, skips } = inputs;
  const ofStep = inputs.time.through(
    numberEmbedding('to_time_embed', config.init_channels, config.time_embed_dim),
    when(seesPerturbation(config), () => mixPerturbation(config, inputs.perturbation)),
    when(config.pass_skip_frames, () => addSkip(skips)),
  );
  const time = normEmbedding(
    poolContext(ofStep, context, config).time,
    inputs.rowsAre === 'videos' ? frames : undefined,
  );
  const mask = inputs.temporalMask.reshape(-1, 1, 1, 1);
  const blocks = { config, frames };
  return unet(x, {
    ...blocks,
    context,
    time,
    temporal: {
      ...(config.temporal && { layer: named('temporal_projection_new', temporalLayer(frames, mask)) }),
      ...(config.add_temporal_attention && {
        attention: (name: string) => mergedTemporalAttentionBlock(name, time, mask, blocks),
        attentionIsMirrored: false,
      }),
    },
  });
}
