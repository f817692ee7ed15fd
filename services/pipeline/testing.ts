import { loadPreset, type Preset, parsePreset } from './preset.ts';

/** Constructor arguments that make a U-Net narrow. */
export const narrowUNet = { model_channels: 16, init_channels: 16, time_embed_dim: 16, groups: 4, head_dim: 8 };
const oneLevel = { dim_mult: [1], num_blocks: [2], add_cross_attention: [true], add_self_attention: [true] };

/** nano with fewer layers and channels: every model, input and output of a preset, in milliseconds instead of seconds. */
export function smallNano(): Preset {
  const nano = loadPreset('nano');
  const { textEncoder, keyframes, interpolation } = nano;
  return {
    ...nano,
    textEncoder: { ...textEncoder, network: { ...textEncoder.network, num_layers: 1 } },
    keyframes: { ...keyframes, network: { ...keyframes.network, ...narrowUNet, ...oneLevel } },
    interpolation: { ...interpolation, network: { ...interpolation.network, ...narrowUNet, num_blocks: [2] } },
  };
}

/** A preset with another decoder: `changes` override the preset's own, those of `network` one by one. */
export function withDecoder(
  preset: Preset,
  { network, ...changes }: { network?: object; [key: string]: unknown },
): Preset {
  // Things are placed by the preset's own decoder and encoder.
  const { folder, things: _, ...given } = preset;
  const decoder = { ...given.decoder, ...changes, network: { ...given.decoder.network, ...network } };
  return parsePreset({ ...given, decoder }, folder);
}
