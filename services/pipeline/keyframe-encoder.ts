import { movqEncoderInterface, movqEncoderName } from './networks/movq.ts';
import { conditionedOn, firstFrameModelNames, type Preset } from './preset.ts';

/**
 * The model that encodes given keyframes: the encoder of first frames where the preset has one; otherwise a model that
 * repositories need not have.
 */
export function keyframeEncoder(preset: Preset) {
  return {
    name: preset.firstFrame ? firstFrameModelNames.pictureEncoder : movqEncoderName,
    interface: movqEncoderInterface((conditionedOn(preset) ?? preset.decoder).network),
  };
}
