import { conditionedOn, type Preset } from '../preset.ts';
import { movqDecoderInterface, movqEncoderInterface, movqVideoDecoderInterface } from './movq.ts';
import { t5EncoderInterface } from './t5-encoder.ts';
import { interpolationUNetInterface, keyframeUNetInterface } from './unet.ts';
import {
  firstFrameUNetInterface,
  interpolationUNet11Interface,
  isInterpolationUNet11,
  isKeyframeUNet11,
  keyframeUNet11Interface,
} from './unet-1.1.ts';

/** The inputs and outputs of a preset's networks. */
export const networkInterfaces = {
  textEncoder: ({ textEncoder }: Preset) => t5EncoderInterface(textEncoder.network),
  keyframes: ({ keyframes: { network } }: Preset) =>
    isKeyframeUNet11(network) ? keyframeUNet11Interface(network) : keyframeUNetInterface(network),
  interpolation: ({ interpolation: { network } }: Preset) =>
    isInterpolationUNet11(network) ? interpolationUNet11Interface(network) : interpolationUNetInterface(network),
  decoder: ({ decoder }: Preset) =>
    decoder.kind === 'image' ? movqDecoderInterface(decoder.network) : movqVideoDecoderInterface(decoder.network),
};

/** Those of the networks for a first frame that the keyframe network reads; undefined for other presets. */
export function firstFrameInterfaces(preset: Preset) {
  const { network } = preset.keyframes;
  const firstFrame = conditionedOn(preset);
  return firstFrame === undefined || !isKeyframeUNet11(network)
    ? undefined
    : {
        keyframes: keyframeUNet11Interface(network),
        firstFrame: firstFrameUNetInterface(network),
        pictureDecoder: movqDecoderInterface(firstFrame.network),
        pictureEncoder: movqEncoderInterface(firstFrame.network),
      };
}
