import { tensorSpec } from '../../services/pipeline/networks/network-interface.ts';
import {
  firstFrameUNetInterface,
  type KeyframeUNet11Config,
  keyframeUNet11Interface,
} from '../../services/pipeline/networks/unet-1.1.ts';
import { ParameterList } from '../checkpoints/parameter-list.ts';
import { byFrame, type Frames, foldFrames, framesOf } from './frames.ts';
import { Graph } from './graph.ts';
import { numberEmbedding } from './layers.ts';
import { temporalAttentionBlock, temporalResNetBlock } from './temporal.ts';
import { unet } from './unet.ts';
import { type Context, normEmbedding, optionalContext, poolContext, textContext } from './unet-conditions.ts';
import { concat, type Value } from './value.ts';

/** The served keyframe U-Net of Kandinsky Video 1.1, see {@link keyframeUNet11Interface}. It predicts the noise. */
export function keyframeUNet11(g: Graph, config: KeyframeUNet11Config): void {
  const { inputs, outputs } = keyframeUNet11Interface(config);
  const { latents, timestep, context: given, context_mask: givenMask, unconditional, ...others } = g.takes(inputs);
  const { first_frame: firstFrame, has_first_frame: hasFirstFrame, noise_augmentation, motion_score } = others;

  const { folded, frames } = foldFrames(latents);
  const positions = positionOfFrame(frames);
  const isGiven = positions
    .node('Equal', [g.integers([0], [])])
    .node('And', [byFrame(hasFirstFrame, frames).reshape(-1)])
    .reshape(-1, 1, 1, 1)
    .cast('float32');
  const condition = byFrame(firstFrame, frames).times(isGiven);
  const mask = isGiven.node('Expand', [g.shape([frames.total, 1, latents.sizes(3, 5)])]);

  const prediction = predictVideo(config, {
    x: concat([folded, condition, mask], 1),
    frames,
    time: timestep.reshape(-1),
    context: optionalContext(g, { given, givenMask, unconditional }, frames.videos),
    positions: positions.cast('float32'),
    noiseAugmentation: config.noise_augmentation ? noise_augmentation.reshape(-1) : undefined,
    motionScore: config.motion_score ? motion_score.reshape(-1) : undefined,
    rowsAre: 'videos',
  });
  g.gives(outputs, { prediction: prediction.reshape(latents.sizes(0, 2), config.out_channels, latents.sizes(3, 5)) });
}

/** The served U-Net that makes a single picture, see {@link firstFrameUNetInterface}. */
export function firstFrameUNet(g: Graph, config: KeyframeUNet11Config): void {
  const { inputs, outputs } = firstFrameUNetInterface(config);
  const { latents, timestep, context: given, context_mask: givenMask, unconditional } = g.takes(inputs);
  const pictures = latents.sizes(0, 1);
  const conditionChannels = config.num_channels - config.out_channels;
  const nothing = g.floats([0], [1, 1, 1, 1]);
  const condition = nothing.node('Expand', [g.shape([pictures, conditionChannels, latents.sizes(2, 4)])]);
  const prediction = predictPicture(config, {
    x: concat([latents, condition], 1),
    time: timestep.reshape(-1),
    context: optionalContext(g, { given, givenMask, unconditional }, pictures),
  });
  g.gives(outputs, { prediction });
}

/** Names of the parameters that only the network for videos has, which lie in one checkpoint with the other's. */
export function parametersForVideos(config: KeyframeUNet11Config): string[] {
  const [videos, pictures] = [new ParameterList(), new ParameterList()];
  keyframeUNet11(new Graph('videos', videos), config);
  firstFrameUNet(new Graph('pictures', pictures), config);
  return [...videos.shapes.keys()].filter((name) => !pictures.shapes.has(name));
}

/**
 * The U-Net in the layout of the published code, where every frame has its own conditions: x `[B·T, 9, h, w]`; time,
 * temporal_embed and, if the network has them, noise_aug_time and motion_score `[B·T]`; context `[B·T, N, D]`,
 * context_mask `[B·T, N]` → output.
 */
export function keyframeUNet11ByFrame(g: Graph, config: KeyframeUNet11Config, perVideo: number): void {
  const inputs = publishedInputs(g, config, 'frames');
  const number = (name: string) => g.input(name, tensorSpec('int64', 'frames')).cast('float32');
  const output = predictVideo(config, {
    ...inputs,
    frames: framesOf(inputs.x, perVideo),
    positions: number('temporal_embed'),
    noiseAugmentation: config.noise_augmentation ? number('noise_aug_time') : undefined,
    motionScore: config.motion_score ? number('motion_score') : undefined,
    rowsAre: 'frames',
  });
  g.output('output', output, ['frames', config.out_channels, 'height', 'width']);
}

/** The same for pictures: x `[n, 9, h, w]`, time `[n]`, context `[n, N, D]`, context_mask `[n, N]` → output. */
export function firstFrameUNetPublished(g: Graph, config: KeyframeUNet11Config): void {
  const output = predictPicture(config, publishedInputs(g, config, 'pictures'));
  g.output('output', output, ['pictures', config.out_channels, 'height', 'width']);
}

function publishedInputs(g: Graph, config: KeyframeUNet11Config, items: string): PictureInputs {
  const x = g.input('x', tensorSpec('float32', items, config.num_channels, 'height', 'width'));
  const time = g.input('time', tensorSpec('int64', items)).cast('float32');
  const embeddings = g.input('context', tensorSpec('float32', items, 'tokens', config.context_dim));
  const mask = g.input('context_mask', tensorSpec('bool', items, 'tokens'));
  return { x, time, context: textContext(embeddings, mask, x.sizes(0, 1)) };
}

interface PictureInputs {
  /** Noise, condition and mask on the channel axis. */
  x: Value;
  /** Diffusion steps, one per video, frame or picture. */
  time: Value;
  context: Context;
}

interface VideoInputs extends PictureInputs {
  frames: Frames;
  /** One per frame, as the other numbers if rows are frames. */
  positions: Value;
  noiseAugmentation: Value | undefined;
  motionScore: Value | undefined;
  rowsAre: 'videos' | 'frames';
}

function predictVideo(config: KeyframeUNet11Config, inputs: VideoInputs): Value {
  const { x, frames, context } = inputs;
  const sharedBy = inputs.rowsAre === 'videos' ? frames : undefined;
  const time = timeEmbedding(config, inputs);
  const conditions = [
    ['temporal_noise_aug_time_encoding', inputs.noiseAugmentation],
    ['temporal_motion_score_encoding', inputs.motionScore],
  ] as const;
  const position = inputs.positions.through(embedding(config, 'to_temporal_embed'));
  const temporal = conditions.reduce((sum, [name, value]) => {
    return value === undefined ? sum : sum.plus(byFrame(value.through(embedding(config, name)), sharedBy));
  }, position);
  const overTime = normEmbedding(byFrame(time, sharedBy).plus(temporal));
  const norms = { before: ['temporal_norm', overTime], after: ['ff_norm', overTime] } as const;
  const blocks = { config, frames };
  return unet(x, {
    ...blocks,
    context,
    time: normEmbedding(time, sharedBy),
    temporal: {
      resNet: (name) => temporalResNetBlock(name, overTime, blocks),
      attention: (name) => temporalAttentionBlock(name, norms, blocks),
    },
  });
}

function predictPicture(config: KeyframeUNet11Config, inputs: PictureInputs): Value {
  const { x, context } = inputs;
  const pictures = x.sizes(0, 1);
  const frames = { videos: pictures, perVideo: 1, total: pictures };
  const time = normEmbedding(timeEmbedding(config, inputs));
  return unet(x, { config, frames, context, time, temporal: {} }, 'image_in_layer');
}

function timeEmbedding(config: KeyframeUNet11Config, { time, context }: PictureInputs): Value {
  return poolContext(time.through(embedding(config, 'to_time_embed')), context, config).time;
}

const embedding = ({ init_channels, time_embed_dim }: KeyframeUNet11Config, name: string) =>
  numberEmbedding(name, init_channels, time_embed_dim);

/** Each frame's position in its video: 0 1 … 0 1 …, integers `[frames]`. */
function positionOfFrame({ total, videos, perVideo }: Frames): Value {
  const { graph } = total;
  const length = typeof perVideo === 'number' ? graph.integers([perVideo]) : perVideo;
  return length
    .range()
    .unsqueeze(0)
    .node('Expand', [graph.shape([videos, length])])
    .reshape(-1);
}
