import type { Tensor } from '../../services/pipeline/tensor.ts';

/**
 * Largest |difference| between two float32 tensors, in standard deviations of the reference. Infinity if either has a
 * non-finite element. A tensor with fewer elements counts as repeated along the first axis.
 */
export function largestDifference(actual: Tensor, reference: Tensor): number {
  const [given, wanted] = [actual.data as Float32Array, reference.data as Float32Array];
  const count = wanted.length;
  let [sum, squares, largest] = [0, 0, 0];
  for (let i = 0; i < count; i++) {
    const value = wanted[i]!;
    const difference = Math.abs(value - given[i % given.length]!);
    if (!Number.isFinite(difference)) {
      return Number.POSITIVE_INFINITY;
    }
    sum += value;
    squares += value * value;
    largest = Math.max(largest, difference);
  }
  const mean = sum / count;
  return largest / Math.sqrt(Math.max(squares / count - mean * mean, Number.MIN_VALUE));
}

/** The first `keep` entries of the second axis. */
export function keepOfSecondAxis(value: Tensor, keep: number): Tensor {
  const [rows, columns, ...rest] = value.shape as [number, number, ...number[]];
  const inner = rest.reduce((product, size) => product * size, 1);
  const kept = new Float32Array(rows * keep * inner);
  for (let row = 0; row < rows; row++) {
    const start = row * columns * inner;
    kept.set((value.data as Float32Array).subarray(start, start + keep * inner), row * keep * inner);
  }
  return { dataType: 'float32', shape: [rows, keep, ...rest], data: kept };
}
