import type { DenseMatrix } from './dense-matrix.ts';

/** More than any matrix needs for one eigenvalue. */
const maxIterations = 60;

/**
 * The eigenvalues of a symmetric matrix, in no order: Householder's reduction to tridiagonal form, then the QL algorithm with
 * implicit shifts (EISPACK's `tred1` and `imtql1`). Without vectors it takes a fraction of the time.
 */
export function symmetricEigenvalues(matrix: DenseMatrix): Float64Array {
  const { diagonal, below } = tridiagonal(matrix);
  diagonalize(diagonal, below);
  return diagonal;
}

/** The diagonal, and the elements below each of its elements (0 for the last). */
function tridiagonal({ rows: n, values }: DenseMatrix): { diagonal: Float64Array; below: Float64Array } {
  const a = values.slice();
  const below = new Float64Array(n);
  const v = new Float64Array(n);
  const p = new Float64Array(n);
  for (let last = n - 1; last > 1; last--) {
    // Reflects row `last`, left of its diagonal, to a single element.
    const row = last * n;
    let scale = 0;
    for (let k = 0; k < last; k++) {
      scale += Math.abs(a[row + k]!);
    }
    if (scale === 0) {
      continue;
    }
    let square = 0;
    for (let k = 0; k < last; k++) {
      v[k] = a[row + k]! / scale;
      square += v[k]! ** 2;
    }
    const end = v[last - 1]!;
    const length = end >= 0 ? -Math.sqrt(square) : Math.sqrt(square);
    below[last - 1] = scale * length;
    const h = square - end * length;
    v[last - 1] = end - length;
    // a ← (1 − vvᵀ/h)·a·(1 − vvᵀ/h), in the lower triangle.
    p.fill(0, 0, last);
    for (let i = 0; i < last; i++) {
      const ofRow = i * n;
      const vi = v[i]!;
      let sum = 0;
      for (let j = 0; j < i; j++) {
        const value = a[ofRow + j]!;
        sum += value * v[j]!;
        p[j]! += value * vi;
      }
      p[i]! += sum + a[ofRow + i]! * vi;
    }
    let projection = 0;
    for (let i = 0; i < last; i++) {
      p[i]! /= h;
      projection += p[i]! * v[i]!;
    }
    projection /= 2 * h;
    for (let i = 0; i < last; i++) {
      p[i]! -= projection * v[i]!;
    }
    for (let i = 0; i < last; i++) {
      const ofRow = i * n;
      const [vi, pi] = [v[i]!, p[i]!];
      for (let j = 0; j <= i; j++) {
        a[ofRow + j]! -= vi * p[j]! + pi * v[j]!;
      }
    }
  }
  if (n > 1) {
    below[0] = a[n]!;
  }
  return { diagonal: Float64Array.from({ length: n }, (_, i) => a[i * n + i]!), below };
}

/** Leaves the eigenvalues in `d`, the diagonal; `e` is what is below it. */
function diagonalize(d: Float64Array, e: Float64Array): void {
  const n = d.length;
  for (let l = 0; l < n; l++) {
    for (let iteration = 0; ; iteration++) {
      let m = l;
      while (m < n - 1 && Math.abs(e[m]!) > Number.EPSILON * (Math.abs(d[m]!) + Math.abs(d[m + 1]!))) {
        m++;
      }
      if (m === l) {
        break;
      }
      if (iteration === maxIterations) {
        throw new Error('eigenvalues: no convergence');
      }
      sweep(d, e, l, m);
    }
  }
}

/** One step of QL between `l` and `m`. */
function sweep(d: Float64Array, e: Float64Array, l: number, m: number): void {
  let g = (d[l + 1]! - d[l]!) / (2 * e[l]!);
  const size = Math.hypot(g, 1);
  g = d[m]! - d[l]! + e[l]! / (g + (g >= 0 ? size : -size));
  let [s, c, p] = [1, 1, 0];
  for (let i = m - 1; i >= l; i--) {
    const [f, b] = [s * e[i]!, c * e[i]!];
    const r = Math.hypot(f, g);
    e[i + 1] = r;
    if (r === 0) {
      d[i + 1]! -= p;
      e[m] = 0;
      return;
    }
    s = f / r;
    c = g / r;
    g = d[i + 1]! - p;
    const turn = (d[i]! - g) * s + 2 * c * b;
    p = s * turn;
    d[i + 1] = g + p;
    g = c * turn - b;
  }
  d[l]! -= p;
  e[l] = g;
  e[m] = 0;
}
