import { invalidField, inWords } from '../kit/errors.ts';
import { firstFrameScale, latentChannels, latentScale } from './latent-layout.ts';
import { frameCount, type Preset } from './preset.ts';

export { firstFrameScale, latentChannels, latentScale };

/** Size in bytes of the float32 latents of the largest frames that the preset allows, by default of the longest video. */
export function maxLatentBytes(preset: Preset, frames = frameCount(preset, 'high')): number {
  const { width, height } = preset.frameSize.maximum;
  const frameBytes = latentChannels * (width / latentScale) * (height / latentScale) * 4;
  return frames * frameBytes;
}

/** Throws INVALID_ARGUMENT unless latents [T, 4, h, w] have four channels and a size that the preset allows. */
export function checkLatentSize(field: string, shape: readonly number[], preset: Preset): void {
  const [, channels, height = 0, width = 0] = shape;
  const { minimum, maximum, multipleOf } = preset.frameSize;
  const fits = (size: number, min: number, max: number) => size >= min && size <= max && size % multipleOf === 0;
  const fit =
    channels === latentChannels &&
    fits(width * latentScale, minimum.width, maximum.width) &&
    fits(height * latentScale, minimum.height, maximum.height);
  if (!fit) {
    throw invalidField(
      field,
      inWords(`shape [${shape}]`),
      `[T, ${latentChannels}, h, w], h from ${minimum.height / latentScale} to ${maximum.height / latentScale}, ` +
        `w from ${minimum.width / latentScale} to ${maximum.width / latentScale}, ` +
        `both multiples of ${multipleOf / latentScale}`,
    );
  }
}
