import { Status } from 'nice-grpc-common';
import { FusionError } from '../../services/kit/errors.ts';
import { latentChannels, latentScale } from '../../services/pipeline/latents.ts';
import type { MovqConfig } from '../../services/pipeline/networks/movq.ts';
import type { T5Config } from '../../services/pipeline/networks/t5-encoder.ts';
import { skipValues, type UNetConfig } from '../../services/pipeline/networks/unet.ts';
import type { Preset } from '../../services/pipeline/preset.ts';

interface Fault {
  field: string;
  /** What the field must be. */
  must: string;
  got: unknown;
}

/**
 * Checks that a preset's networks, each buildable by itself, fit the pipeline and each other. Throws FAILED_PRECONDITION
 * naming every argument at fault.
 */
export function checkNetworks(preset: Preset): void {
  const [text, keyframes] = [preset.textEncoder.network, preset.keyframes.network];
  const interpolation = preset.interpolation.network;
  const faults = [
    ...textFaults(preset, text, keyframes),
    ...keyframesFaults(preset, keyframes),
    ...interpolationFaults(preset, interpolation),
    ...sizeFaults('keyframes', preset, keyframes),
    ...sizeFaults('interpolation', preset, interpolation),
    ...decoderFaults(preset.decoder.network),
  ];
  if (faults.length > 0) {
    const list = faults.map(({ field, must, got }) => `\`${field}\` must be ${must} (got ${JSON.stringify(got)})`);
    throw new FusionError(Status.FAILED_PRECONDITION, `preset ${preset.name}: ${list.join('; ')}`, {
      reason: 'INVALID_PRESET',
      field: faults[0]!.field,
    });
  }
}

function textFaults({ textEncoder }: Preset, text: T5Config, keyframes: UNetConfig): Fault[] {
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

function keyframesFaults({ keyframes: { frames } }: Preset, network: UNetConfig): Fault[] {
  return [
    ...unless(network.num_frames === frames, {
      field: 'keyframes.network.num_frames',
      must: `${frames}, like keyframes.frames`,
      got: network.num_frames,
    }),
    ...channelFaults('keyframes', network, latentChannels, latentChannels),
  ];
}

function interpolationFaults({ interpolation }: Preset, network: UNetConfig): Fault[] {
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

function channelFaults(stage: string, network: UNetConfig, input: number, output: number): Fault[] {
  const wanted = { num_channels: input, out_channels: output };
  return (['num_channels', 'out_channels'] as const).flatMap((name) =>
    unless(network[name] === wanted[name], {
      field: `${stage}.network.${name}`,
      must: String(wanted[name]),
      got: network[name],
    }),
  );
}

/** Every size that the preset allows must come out of the network's halvings and doublings as it went in. */
function sizeFaults(stage: string, { frameSize }: Preset, network: UNetConfig): Fault[] {
  const { minimum, maximum, multipleOf } = frameSize;
  const step = latentScale * 2 ** (network.dim_mult.length - 1);
  const embedded = network.spatial_position_embedding;
  const only = [minimum, maximum].map(({ height, width }) => [height / latentScale, width / latentScale].join());
  return [
    ...unless(multipleOf % step === 0, {
      field: 'frameSize.multipleOf',
      must: `a multiple of ${step}, for the ${network.dim_mult.length} levels of ${stage}.network.dim_mult`,
      got: multipleOf,
    }),
    ...unless(embedded === null || only.every((size) => size === embedded.join()), {
      field: `${stage}.network.spatial_position_embedding`,
      must: `an eighth of height and width of the one size that frameSize allows`,
      got: embedded,
    }),
  ];
}

function decoderFaults({ z_channels, out_ch, ch_mult }: MovqConfig): Fault[] {
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

function unless(isRight: boolean, fault: Fault): Fault[] {
  return isRight ? [] : [fault];
}
