import type { Tensor } from '../../services/pipeline/tensor.ts';

export interface Difference {
  /** Largest |difference|, in standard deviations of the reference; Infinity if either has a non-finite element. */
  largest: number;
  /** Root of the mean square of the differences, in the same unit. */
  rootMeanSquare: number;
  /** Standard deviation of the reference. */
  deviation: number;
}

/** Compares two tensors of numbers. A tensor with fewer elements counts as repeated along the first axis. */
export function measureDifference(actual: Tensor, reference: Tensor): Difference {
  const [given, wanted] = [actual.data, reference.data] as [Float32Array, Float32Array];
  const count = wanted.length;
  let [sum, squares, largest, differences] = [0, 0, 0, 0];
  for (let i = 0; i < count; i++) {
    const value = wanted[i]!;
    const difference = Math.abs(value - given[i % given.length]!);
    sum += value;
    squares += value * value;
    differences += difference * difference;
    if (!Number.isFinite(difference)) {
      return { largest: Number.POSITIVE_INFINITY, rootMeanSquare: Number.POSITIVE_INFINITY, deviation: 1 };
    }
    largest = Math.max(largest, difference);
  }
  const mean = sum / count;
  const variance = squares / count - mean * mean;
  // A constant, such as a flag that is true everywhere, is compared as it is.
  const deviation = variance > 0 ? Math.sqrt(variance) : 1;
  return { largest: largest / deviation, rootMeanSquare: Math.sqrt(differences / count) / deviation, deviation };
}

/** The largest alone. */
export function largestDifference(actual: Tensor, reference: Tensor): number {
  return measureDifference(actual, reference).largest;
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
