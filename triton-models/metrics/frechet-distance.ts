import { choleskyFactor, type DenseMatrix, rowProducts, transposed, zeros } from './dense-matrix.ts';
import { type FeatureRows, rowCount } from './feature-rows.ts';
import { symmetricEigenvalues } from './symmetric-eigenvalues.ts';

/** Feature rows, each counted so many times. Default: once. */
export interface CountedRows {
  rows: FeatureRows;
  counts?: ArrayLike<number>;
}

/**
 * Fréchet distance of the normal distributions of two sets of rows, |μ₁ − μ₂|² + tr(Σ₁ + Σ₂ − 2·(Σ₁Σ₂)^½), with sample
 * covariances. Both must have at least two rows. Singular covariances, from fewer rows than features, are handled exactly.
 */
export function frechetDistance(a: CountedRows, b: CountedRows): number {
  const [first, second] = [distributionOf(a), distributionOf(b)];
  const ofMeans = first.mean.reduce((sum, value, i) => sum + (value - second.mean[i]!) ** 2, 0);
  const distance = ofMeans + first.trace + second.trace - 2 * traceOfRoot(first.factor, second.factor);
  return Math.max(0, distance);
}

/**
 * tr((FᵀF·GᵀG)^½): the sum of the singular values of F·Gᵀ. Its size is the smaller of rows and features, and no complex numbers
 * arise where a covariance is singular.
 */
function traceOfRoot(f: DenseMatrix, g: DenseMatrix): number {
  const [fewer, more] = f.rows <= g.rows ? [f, g] : [g, f];
  const products = rowProducts(fewer, more);
  const squares = symmetricEigenvalues(rowProducts(products, products));
  // Smaller ones are rounding errors.
  const smallest = squares.length * Number.EPSILON * squares.reduce((most, value) => Math.max(most, value), 0);
  return squares.reduce((sum, value) => (value > smallest ? sum + Math.sqrt(value) : sum), 0);
}

interface Distribution {
  mean: Float64Array;
  /** Of the covariance. */
  trace: number;
  /** F with FᵀF the covariance, [at most features, features]. */
  factor: DenseMatrix;
}

function distributionOf({ rows, counts }: CountedRows): Distribution {
  const { width, values } = rows;
  const kept = Array.from({ length: rowCount(rows) }, (_, row) => ({ row, count: counts?.[row] ?? 1 })).filter(
    ({ count }) => count > 0,
  );
  const total = kept.reduce((sum, { count }) => sum + count, 0);
  const mean = new Float64Array(width);
  for (const { row, count } of kept) {
    for (let i = 0; i < width; i++) {
      mean[i]! += (count * values[row * width + i]!) / total;
    }
  }
  const deviations = zeros(kept.length, width);
  for (const [at, { row, count }] of kept.entries()) {
    const scale = Math.sqrt(count / (total - 1));
    for (let i = 0; i < width; i++) {
      deviations.values[at * width + i] = scale * (values[row * width + i]! - mean[i]!);
    }
  }
  const trace = deviations.values.reduce((sum, value) => sum + value ** 2, 0);
  return { mean, trace, factor: kept.length <= width ? deviations : choleskyFactor(covarianceOf(deviations)) };
}

function covarianceOf(deviations: DenseMatrix): DenseMatrix {
  const features = transposed(deviations);
  return rowProducts(features, features);
}
