/** One of the equal parts of an array, of this length, as a view. @param index from 0 */
export function partOf<T extends Float32Array | Uint8Array>(values: T, index: number, length: number): T {
  return values.subarray(index * length, (index + 1) * length) as T;
}

/** Arrays of the same length, one after the other. */
export function joinParts(parts: readonly Float32Array[]): Float32Array<ArrayBuffer> {
  const length = parts[0]!.length;
  const joined = new Float32Array(parts.length * length);
  parts.forEach((part, index) => {
    joined.set(part, index * length);
  });
  return joined;
}

/** The array with each of its equal parts, of this length, changed. */
export function changeParts(
  values: Float32Array,
  length: number,
  change: (part: Float32Array, index: number) => Float32Array,
): Float32Array<ArrayBuffer> {
  const count = values.length / length;
  return joinParts(Array.from({ length: count }, (_, index) => change(partOf(values, index, length), index)));
}
