import { choices, invalidField } from '../kit/errors.ts';
import type { FrameSize, Preset } from './preset.ts';

type Side = keyof FrameSize;

/** Frame sizes for which TensorRT engines are compiled. */
export function compiledSizes({ frameSize }: Pick<Preset, 'frameSize'>): readonly FrameSize[] {
  return frameSize.compiled ?? [frameSize.default];
}

/** The preset as engines serve it: with the compiled sizes only. */
export function servedByEngines(preset: Preset): Preset {
  return { ...preset, sizes: compiledSizes(preset) };
}

/** Such as `512x512`. */
export function sizeText({ width, height }: FrameSize): string {
  return `${width}x${height}`;
}

/** Throws INVALID_ARGUMENT for a side that no size of the preset has. */
export function checkSide(field: string, side: Side, value: number, { frameSize, sizes }: Preset): void {
  if (sizes !== undefined) {
    const allowed = [...new Set(sizes.map((size) => size[side]))];
    if (!allowed.includes(value)) {
      throw invalidField(field, value, `${choices(allowed)}; ${sizesText(sizes)}`);
    }
    return;
  }
  const [minimum, maximum] = [frameSize.minimum[side], frameSize.maximum[side]];
  if (value % frameSize.multipleOf !== 0 || value < minimum || value > maximum) {
    const range = `a multiple of ${frameSize.multipleOf} from ${minimum} to ${maximum}`;
    throw invalidField(field, value, minimum === maximum ? String(minimum) : range);
  }
}

/** Throws INVALID_ARGUMENT for two sides that are allowed, but not together. */
export function checkSize({ width, height }: FrameSize, { sizes }: Preset): void {
  if (sizes !== undefined && !sizes.some((size) => size.width === width && size.height === height)) {
    const heights = sizes.filter((size) => size.width === width).map((size) => size.height);
    throw invalidField('height', height, `${choices(heights)} with a width of ${width}; ${sizesText(sizes)}`);
  }
}

const sizesText = (sizes: readonly FrameSize[]) => `this server makes videos of ${sizes.map(sizeText).join(', ')}`;
