import { EigenvalueDecomposition, Matrix } from 'ml-matrix';
import type { FeatureStatistics } from './feature-statistics.ts';

/**
 * Fréchet distance of two normal distributions, |μ₁ − μ₂|² + tr(Σ₁ + Σ₂ − 2·(Σ₁Σ₂)^½). Both must have at least two rows.
 * Singular covariances, from fewer rows than features, are handled exactly.
 */
export function frechetDistance(a: FeatureStatistics, b: FeatureStatistics): number {
  const [first, second] = [a.covariance(), b.covariance()];
  const ofMeans = a.mean.reduce((sum, value, i) => sum + (value - b.mean[i]!) ** 2, 0);
  return Math.max(0, ofMeans + first.trace() + second.trace() - 2 * traceOfRoot(first, second));
}

/**
 * tr((AB)^½) of symmetric positive semidefinite matrices: the root of A^½·B·A^½, which is symmetric and has the same
 * eigenvalues, so that no complex numbers arise where A or B is singular.
 */
function traceOfRoot(a: Matrix, b: Matrix): number {
  const { values, vectors } = decompose(a);
  const rank = values.length;
  const root = new Matrix(rank, a.rows);
  for (let i = 0; i < rank; i++) {
    const scale = Math.sqrt(values[i]!.value);
    for (let j = 0; j < a.rows; j++) {
      root.set(i, j, vectors.get(j, values[i]!.column) * scale);
    }
  }
  if (rank === 0) {
    return 0;
  }
  const between = root.mmul(b).mmul(root.transpose());
  return decompose(between).values.reduce((sum, { value }) => sum + Math.sqrt(value), 0);
}

/** Eigenvalues that are more than rounding errors, and the columns of their vectors. */
function decompose(matrix: Matrix) {
  const decomposition = new EigenvalueDecomposition(matrix, { assumeSymmetric: true });
  const all = decomposition.realEigenvalues;
  const smallest = matrix.rows * Number.EPSILON * Math.max(...all, 0);
  const values = all.map((value, column) => ({ value, column })).filter(({ value }) => value > smallest);
  return { values, vectors: decomposition.eigenvectorMatrix };
}
