import { invalidField } from './errors.ts';
import { frameCount, type Preset } from './preset.ts';

/** Latents are this many times smaller than the picture, in each direction. */
export const latentScale = 8;
export const latentChannels = 4;

/** Bytes of the longest and largest video that the preset allows, as float32 latents. */
export function maxLatentBytes(preset: Preset): number {
  const { width, height } = preset.frameSize.maximum;
  const frameBytes = latentChannels * (width / latentScale) * (height / latentScale) * 4;
  return frameCount(preset, 'high') * frameBytes;
}

/** Throws INVALID_ARGUMENT unless latents [T, 4, h, w] have four channels and a size within the preset's limits. */
export function checkLatentSize(field: string, shape: readonly number[], preset: Preset): void {
  const [, channels, height = 0, width = 0] = shape;
  const { minimum, maximum } = preset.frameSize;
  const fits =
    channels === latentChannels &&
    isWithin(width * latentScale, minimum.width, maximum.width) &&
    isWithin(height * latentScale, minimum.height, maximum.height);
  if (!fits) {
    throw invalidField(
      field,
      `shape [${shape}]`,
      `[T, ${latentChannels}, h, w] with h from ${minimum.height / latentScale} to ${maximum.height / latentScale} ` +
        `and w from ${minimum.width / latentScale} to ${maximum.width / latentScale}`,
    );
  }
}

function isWithin(value: number, minimum: number, maximum: number): boolean {
  return value >= minimum && value <= maximum;
}
