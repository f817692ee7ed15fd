import { elementCount } from '../../services/pipeline/tensor.ts';

/** The shape that all of these broadcast to, by NumPy's rule. */
export function broadcast(tensors: readonly { shape: readonly number[] }[]): number[] {
  const rank = Math.max(...tensors.map(({ shape }) => shape.length));
  return Array.from({ length: rank }, (_, axis) => {
    const sizes = tensors.map(({ shape }) => shape[axis - rank + shape.length] ?? 1);
    const size = sizes.find((each) => each !== 1) ?? 1;
    if (sizes.some((each) => each !== 1 && each !== size)) {
      throw new Error(`shapes ${tensors.map(({ shape }) => `[${shape}]`).join(' and ')} do not fit together`);
    }
    return size;
  });
}

/** A shape as Reshape reads it: 0 copies the axis, −1 is what remains. */
export function reshaped(shape: readonly number[], sizes: readonly number[]): number[] {
  const copied = sizes.map((size, axis) => (size === 0 ? shape[axis]! : size));
  const known = elementCount(copied.filter((size) => size !== -1));
  const found = copied.map((size) => (size === -1 ? elementCount(shape) / known : size));
  if (elementCount(found) !== elementCount(shape) || !found.every(Number.isInteger)) {
    throw new Error(`[${shape}] can't be reshaped to [${sizes}]`);
  }
  return found;
}

/** Sizes that a kernel leaves; `pads` are all beginnings, then all ends. */
export function poolShape(
  size: readonly number[],
  kernel: readonly number[],
  strides: readonly number[],
  pads: readonly number[],
): number[] {
  return size.map((length, axis) => {
    const padded = length + (pads[axis] ?? 0) + (pads[axis + size.length] ?? 0);
    return Math.floor((padded - kernel[axis]!) / strides[axis]!) + 1;
  });
}
