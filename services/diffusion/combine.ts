/**
 * a·x + b·y, each element in double precision and then rounded. A plain loop: samplers spend their time here, and
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
