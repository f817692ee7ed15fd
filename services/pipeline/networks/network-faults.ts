import { latentChannels, latentScale } from '../latent-layout.ts';
import type { MovqConfig } from './movq.ts';
import type { T5Config } from './t5-encoder.ts';
import { latentMultiple, seesMaskedFrames, skipValues, type UNetConfig, type UNetSizes } from './unet.ts';
import {
  type InterpolationUNet11Config,
  isInterpolationUNet11,
  isKeyframeUNet11,
  type KeyframeUNet11Config,
} from './unet-1.1.ts';

export interface NetworkFault {
  field: string;
  /** What the field must be. */
  must: string;
  got: unknown;
}

/** Every argument in which a preset's networks, each valid on its own, do not fit the pipeline or each other. */
export function networkFaults(preset: CheckedPreset): NetworkFault[] {
  const { textEncoder, keyframes, interpolation, decoder } = preset;
  return [
    ...textFaults(preset, textEncoder.network, keyframes.network),
    ...keyframesFaults(preset, keyframes.network),
    ...interpolationFaults(preset, interpolation.network),
    ...firstFrameFaults(preset),
    ...thingsFaults(preset),
    ...samplingFaults('keyframes', keyframes),
    ...samplingFaults('interpolation', interpolation),
    ...sizeFaults('keyframes', preset, keyframes.network),
    ...sizeFaults('interpolation', preset, interpolation.network),
    ...movqFaults('decoder', decoder.network),
  ];
}

/** The parts of a preset that are checked. */
interface CheckedPreset {
  frameSize: { minimum: Size; maximum: Size; multipleOf: number };
  textEncoder: { network: T5Config; padTokenId: number; endTokenId: number };
  keyframes: { network: UNetConfig | KeyframeUNet11Config; frames: number } & Sampled;
  firstFrame?: { kind: 'conditioned'; network: MovqConfig } | { kind: 'inpainted' } | undefined;
  interpolation: { network: UNetConfig | InterpolationUNet11Config; skips: readonly number[] } & Sampled;
  things?: object | undefined;
  decoder: { kind: 'image' | 'video'; network: MovqConfig };
  weights: { firstFrame?: string | undefined };
}

interface Sampled {
  prediction: string;
  schedule: string;
  spacing: string;
}

interface Size {
  width: number;
  height: number;
}

function textFaults({ textEncoder }: CheckedPreset, text: T5Config, keyframes: UNetSizes): NetworkFault[] {
  const below = { must: `below textEncoder.network.vocab_size, ${text.vocab_size}` };
  return [
    ...unless(keyframes.context_dim === text.context_dim, {
      field: 'keyframes.network.context_dim',
      must: `${text.context_dim}, like textEncoder.network.context_dim`,
      got: keyframes.context_dim,
    }),
    ...(['padTokenId', 'endTokenId'] as const).flatMap((name) =>
      unless(textEncoder[name] < text.vocab_size, { field: `textEncoder.${name}`, ...below, got: textEncoder[name] }),
    ),
  ];
}

function keyframesFaults({ keyframes: { frames } }: CheckedPreset, network: KeyframesNetwork): NetworkFault[] {
  if (isKeyframeUNet11(network)) {
    const needed = (['motion_score', 'noise_augmentation'] as const).flatMap((name) =>
      unless(network[name], { field: `keyframes.network.${name}`, must: 'true', got: network[name] }),
    );
    return [...needed, ...channelFaults('keyframes', network, 2 * latentChannels + 1, latentChannels)];
  }
  return [
    ...unless(network.num_frames === frames, {
      field: 'keyframes.network.num_frames',
      must: `${frames}, like keyframes.frames`,
      got: network.num_frames,
    }),
    ...channelFaults('keyframes', network, latentChannels, latentChannels),
  ];
}

/** A network that reads a first frame needs one; with any other, sampling may keep one. */
function firstFrameFaults({ keyframes, firstFrame, weights }: CheckedPreset): NetworkFault[] {
  if (!isKeyframeUNet11(keyframes.network)) {
    const must = 'absent or of kind "inpainted": the keyframe network reads no first frame';
    return unless(firstFrame?.kind !== 'conditioned', { field: 'firstFrame', must, got: firstFrame });
  }
  return [
    ...unless(weights.firstFrame !== undefined, {
      field: 'weights.firstFrame',
      must: "the file of the first frame's MoVQ",
      got: weights.firstFrame,
    }),
    ...(firstFrame?.kind !== 'conditioned'
      ? [{ field: 'firstFrame', must: 'of kind "conditioned", for a keyframe network of version 1.1', got: firstFrame }]
      : movqFaults('firstFrame', firstFrame.network)),
  ];
}

/** Things are placed in pictures, which takes a decoder of single pictures and the encoder of an inpainted first frame. */
function thingsFaults({ firstFrame, things, decoder }: CheckedPreset): NetworkFault[] {
  const must = 'absent without a decoder of kind "image" and a first frame of kind "inpainted"';
  const fits = things === undefined || (decoder.kind === 'image' && firstFrame?.kind === 'inpainted');
  return unless(fits, { field: 'things', must, got: things });
}

/** Steps at which nothing is left of the data: none may be computed from, and none can be on a schedule of its own. */
function samplingFaults(stage: string, { prediction, schedule, spacing }: Sampled): NetworkFault[] {
  const allowed = prediction === 'epsilon' ? ['leading'] : ['leading', 'trailing'];
  const must = `${allowed.join(' or ')}, on the schedule ${schedule} with a prediction of type ${prediction}`;
  const isRight = schedule !== 'cosine-zero-snr' || allowed.includes(spacing);
  return unless(isRight, { field: `${stage}.spacing`, must, got: spacing });
}

type KeyframesNetwork = UNetConfig | KeyframeUNet11Config;
type InterpolationNetwork = UNetConfig | InterpolationUNet11Config;

function interpolationFaults({ interpolation }: CheckedPreset, network: InterpolationNetwork): NetworkFault[] {
  return [
    ...unless(isInterpolationUNet11(network) || network.num_frames === null, {
      field: 'interpolation.network.num_frames',
      must: 'null',
      got: 'num_frames' in network ? network.num_frames : undefined,
    }),
    ...(seesMaskedFrames(network)
      ? // Noise, the given frame and the mask.
        channelFaults('interpolation', network, 2 * latentChannels + 1, latentChannels)
      : // Two keyframes and the three frames between them.
        channelFaults('interpolation', network, 5 * latentChannels, 3 * latentChannels)),
    ...unless(
      interpolation.skips.every((skip) => skip < skipValues),
      { field: 'interpolation.skips', must: `numbers below ${skipValues}`, got: interpolation.skips },
    ),
  ];
}

function channelFaults(stage: string, network: UNetSizes, input: number, output: number): NetworkFault[] {
  const wanted = { num_channels: input, out_channels: output };
  return (['num_channels', 'out_channels'] as const).flatMap((name) =>
    unless(network[name] === wanted[name], {
      field: `${stage}.network.${name}`,
      must: String(wanted[name]),
      got: network[name],
    }),
  );
}

/** Every size that the preset allows must survive the network's halvings and doublings unchanged. */
function sizeFaults(
  stage: string,
  { frameSize }: CheckedPreset,
  network: KeyframesNetwork | InterpolationNetwork,
): NetworkFault[] {
  const { minimum, maximum, multipleOf } = frameSize;
  const step = latentScale * latentMultiple(network);
  const isWindowed = 'temporal_conditioning' in network && network.temporal_conditioning === 'Conv1dAttn3dBlocks';
  const windows = isWindowed ? ' and attention in windows' : '';
  const embedded = 'spatial_position_embedding' in network ? network.spatial_position_embedding : null;
  const only = [minimum, maximum].map(({ height, width }) => [height / latentScale, width / latentScale].join());
  return [
    ...unless(multipleOf % step === 0, {
      field: 'frameSize.multipleOf',
      must: `a multiple of ${step}, for the ${network.dim_mult.length} levels of ${stage}.network.dim_mult${windows}`,
      got: multipleOf,
    }),
    ...unless(embedded === null || only.every((size) => size === embedded.join()), {
      field: `${stage}.network.spatial_position_embedding`,
      must: `an eighth of height and width of the one size that frameSize allows`,
      got: embedded,
    }),
  ];
}

function movqFaults(section: string, { z_channels, out_ch, ch_mult }: MovqConfig): NetworkFault[] {
  const levels = Math.log2(latentScale) + 1;
  return [
    ...unless(z_channels === latentChannels, {
      field: `${section}.network.z_channels`,
      must: String(latentChannels),
      got: z_channels,
    }),
    ...unless(out_ch === 3, { field: `${section}.network.out_ch`, must: '3', got: out_ch }),
    ...unless(ch_mult.length === levels, {
      field: `${section}.network.ch_mult`,
      must: `a list of ${levels}, since latents are ${latentScale} times smaller than frames`,
      got: ch_mult,
    }),
  ];
}

function unless(isRight: boolean, fault: NetworkFault): NetworkFault[] {
  return isRight ? [] : [fault];
}
