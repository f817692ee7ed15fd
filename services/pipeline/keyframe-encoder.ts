import { movqEncoderInterface, movqEncoderName } from './networks/movq.ts';
import { firstFrameModelNames, type Preset } from './preset.ts';

/**
 * The model that encodes given keyframes: the encoder of first frames where the preset has one; otherwise a model that
 * repositories need not have.
 */
export function keyframeEncoder({ firstFrame, decoder }: Preset) {
  return firstFrame
    ? { name: firstFrameModelNames.pictureEncoder, interface: movqEncoderInterface(firstFrame.network) }
    : { name: movqEncoderName, interface: movqEncoderInterface(decoder.network) };
}
