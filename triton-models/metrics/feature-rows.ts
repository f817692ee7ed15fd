import { Status } from 'nice-grpc-common';
import { FusionError } from '../../services/kit/errors.ts';
import type { Tensor } from '../../services/pipeline/tensor.ts';

/** Features of many videos or frames, one row each. */
export interface FeatureRows {
  /** Features of a row. */
  width: number;
  /** Row after row. */
  values: Float64Array;
}

export function rowCount({ width, values }: FeatureRows): number {
  return values.length / width;
}

/** The rows of these numbers, in their order; a number may come several times. */
export function pickRows({ width, values }: FeatureRows, rows: readonly number[]): FeatureRows {
  const picked = new Float64Array(rows.length * width);
  for (const [at, row] of rows.entries()) {
    picked.set(values.subarray(row * width, (row + 1) * width), at * width);
  }
  return { width, values: picked };
}

/**
 * The rows of a network's output `[rows, width]`. Throws FAILED_PRECONDITION when they are not finite numbers.
 *
 * @param source what the network saw, for the message
 */
export function embeddingRows({ data, shape }: Tensor, source: string): Float32Array[] {
  const [rows = 0, width = 0] = shape;
  const values = data as Float32Array;
  if (!values.every(Number.isFinite)) {
    throw new FusionError(Status.FAILED_PRECONDITION, `${source}: the network gave NaN or infinite features`, {
      reason: 'PREDICTION_NOT_FINITE',
    });
  }
  return Array.from({ length: rows }, (_, row) => values.subarray(row * width, (row + 1) * width));
}
