import { latentChannels, latentScale } from '../latent-layout.ts';
import type { MovqConfig } from './movq.ts';
import type { T5Config } from './t5-encoder.ts';
import { latentMultiple, skipValues, type UNetConfig } from './unet.ts';

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
    ...sizeFaults('keyframes', preset, keyframes.network),
    ...sizeFaults('interpolation', preset, interpolation.network),
    ...decoderFaults(decoder.network),
  ];
}

/** The parts of a preset that are checked. */
interface CheckedPreset {
  frameSize: { minimum: Size; maximum: Size; multipleOf: number };
  textEncoder: { network: T5Config; padTokenId: number; endTokenId: number };
  keyframes: { network: UNetConfig; frames: number };
  interpolation: { network: UNetConfig; skips: readonly number[] };
  decoder: { network: MovqConfig };
}

interface Size {
  width: number;
  height: number;
}

function textFaults({ textEncoder }: CheckedPreset, text: T5Config, keyframes: UNetConfig): NetworkFault[] {
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

function keyframesFaults({ keyframes: { frames } }: CheckedPreset, network: UNetConfig): NetworkFault[] {
  return [
    ...unless(network.num_frames === frames, {
      field: 'keyframes.network.num_frames',
      must: `${frames}, like keyframes.frames`,
      got: network.num_frames,
    }),
    ...channelFaults('keyframes', network, latentChannels, latentChannels),
  ];
}

function interpolationFaults({ interpolation }: CheckedPreset, network: UNetConfig): NetworkFault[] {
  return [
    ...unless(network.num_frames === null, {
      field: 'interpolation.network.num_frames',
      must: 'null',
      got: network.num_frames,
    }),
    // Two keyframes and the three frames between them.
    ...channelFaults('interpolation', network, 5 * latentChannels, 3 * latentChannels),
    ...unless(
      interpolation.skips.every((skip) => skip < skipValues),
      { field: 'interpolation.skips', must: `numbers below ${skipValues}`, got: interpolation.skips },
    ),
  ];
}

function channelFaults(stage: string, network: UNetConfig, input: number, output: number): NetworkFault[] {
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
function sizeFaults(stage: string, { frameSize }: CheckedPreset, network: UNetConfig): NetworkFault[] {
  const { minimum, maximum, multipleOf } = frameSize;
  const step = latentScale * latentMultiple(network);
  const windows = network.temporal_conditioning === 'Conv1dAttn3dBlocks' ? ' and attention in windows' : '';
  const embedded = network.spatial_position_embedding;
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

function decoderFaults({ z_channels, out_ch, ch_mult }: MovqConfig): NetworkFault[] {
  const levels = Math.log2(latentScale) + 1;
  return [
    ...unless(z_channels === latentChannels, {
      field: 'decoder.network.z_channels',
      must: String(latentChannels),
      got: z_channels,
    }),
    ...unless(out_ch === 3, { field: 'decoder.network.out_ch', must: '3', got: out_ch }),
    ...unless(ch_mult.length === levels, {
      field: 'decoder.network.ch_mult',
      must: `a list of ${levels}, since latents are ${latentScale} times smaller than frames`,
      got: ch_mult,
    }),
  ];
}

function unless(isRight: boolean, fault: NetworkFault): NetworkFault[] {
  return isRight ? [] : [fault];
}
