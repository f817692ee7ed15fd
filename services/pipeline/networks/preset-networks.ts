import type { Preset } from '../preset.ts';
import { movqDecoderInterface, movqVideoDecoderInterface } from './movq.ts';
import { t5EncoderInterface } from './t5-encoder.ts';
import { interpolationUNetInterface, keyframeUNetInterface } from './unet.ts';

/** The inputs and outputs of a preset's networks. */
export const networkInterfaces = {
  textEncoder: ({ textEncoder }: Preset) => t5EncoderInterface(textEncoder.network),
  keyframes: ({ keyframes }: Preset) => keyframeUNetInterface(keyframes.network),
  interpolation: ({ interpolation }: Preset) => interpolationUNetInterface(interpolation.network),
  decoder: ({ decoder }: Preset) =>
    decoder.kind === 'image' ? movqDecoderInterface(decoder.network) : movqVideoDecoderInterface(decoder.network),
};
