import type { Dimension } from '../../services/pipeline/networks/network-interface.ts';
import { divide, multiply, product, unknown } from './dimensions.ts';

/** The shape to which all of these broadcast, by NumPy's rule; a size known only by name fits every other. */
export function broadcast(tensors: readonly { shape: readonly Dimension[] }[]): Dimension[] {
  const rank = Math.max(...tensors.map(({ shape }) => shape.length));
  return Array.from({ length: rank }, (_, axis) => {
    const sizes = tensors.map(({ shape }) => shape[axis - rank + shape.length] ?? 1).filter((size) => size !== 1);
    const numbers = sizes.filter((size) => typeof size === 'number');
    if (numbers.some((size) => size !== numbers[0])) {
      throw new Error(`shapes ${tensors.map(({ shape }) => `[${shape}]`).join(' and ')} do not fit together`);
    }
    return numbers[0] ?? sizes.find((size) => size !== unknown) ?? sizes[0] ?? 1;
  });
}

/** The result of Reshape: 0 copies the axis, −1 is inferred. */
export function reshaped(shape: readonly Dimension[], sizes: readonly Dimension[]): Dimension[] {
  const copied = sizes.map((size, axis) => (size === 0 ? shape[axis]! : size));
  const rest = divide(product(shape), product(copied.filter((size) => size !== -1)));
  const found = copied.map((size) => (size === -1 ? rest : size));
  const [before, after] = [product(shape), product(found)];
  const isEven = found.every((size) => typeof size === 'string' || Number.isInteger(size));
  if (!isEven || (typeof before === 'number' && typeof after === 'number' && before !== after)) {
    throw new Error(`[${shape}] can't be reshaped to [${sizes}]`);
  }
  return found;
}

/** Output sizes of a convolution; `pads` are all beginnings, then all ends. */
export function poolShape(
  size: readonly Dimension[],
  kernel: readonly number[],
  strides: readonly number[],
  pads: readonly number[],
): Dimension[] {
  return size.map((length, axis) => {
    const [window, stride] = [kernel[axis]!, strides[axis]!];
    const surplus = (pads[axis] ?? 0) + (pads[axis + size.length] ?? 0) - window;
    if (typeof length === 'number') {
      return Math.floor((length + surplus) / stride) + 1;
    }
    // Frame sizes divide evenly.
    return surplus + stride >= 0 && surplus < 0 ? divide(length, stride) : unknown;
  });
}

/** Sizes that a padded kernel leaves which loses no place at the border. */
export function samePoolShape(size: readonly Dimension[], strides: readonly number[]): Dimension[] {
  return size.map((length, axis) => {
    const stride = strides[axis]!;
    return typeof length === 'number' ? Math.ceil(length / stride) : divide(length, stride);
  });
}

/** Sizes that a transposed kernel without padding makes. */
export function unpoolShape(size: readonly Dimension[], kernel: readonly number[], strides: readonly number[]) {
  return size.map((length, axis): Dimension => {
    const [window, stride] = [kernel[axis]!, strides[axis]!];
    if (typeof length === 'number') {
      return (length - 1) * stride + window;
    }
    return window === stride ? multiply(length, stride) : unknown;
  });
}
