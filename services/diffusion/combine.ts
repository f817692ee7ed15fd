/**
 * a·x + b·y, computed in double precision and then rounded. A plain loop, because samplers spend their time here and
 * TypedArray.map is several times slower.
 *
 * @param y as long as `x`
 */
export function combine(a: number, x: Float32Array, b: number, y: Float32Array): Float32Array {
  const sum = new Float32Array(x.length);
  for (let i = 0; i < sum.length; i++) {
    sum[i] = a * x[i]! + b * y[i]!;
  }
  return sum;
}

/** The weighted sum of several arrays of equal length, as precise as {@link combine}. */
export function weightedSum(terms: readonly (readonly [weight: number, values: Float32Array])[]): Float32Array {
  const sum = new Float64Array(terms[0]?.[1].length ?? 0);
  for (const [weight, values] of terms) {
    for (let i = 0; i < sum.length; i++) {
      sum[i]! += weight * values[i]!;
    }
  }
  return new Float32Array(sum);
}
