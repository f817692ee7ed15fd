/** A dimension of any size, in configurations and model signatures. */
export const wildcard = -1n;

const largest = 2n ** 63n - 1n;

/** Product of the dimensions; `undefined` when one is negative or the product does not fit 63 bits. */
export function elementCount(shape: readonly bigint[]): bigint | undefined {
  let count = 1n;
  for (const dimension of shape) {
    count *= dimension;
    if (dimension < 0n || count > largest) {
      return undefined;
    }
  }
  return count;
}

/** A shape as Triton's messages show it: `[-1,4]`. */
export function shapeText(shape: readonly bigint[]): string {
  return `[${shape.join(',')}]`;
}

/** Whether both shapes have the same dimensions. */
export function sameShape(a: readonly bigint[], b: readonly bigint[]): boolean {
  return a.length === b.length && a.every((dimension, index) => dimension === b[index]);
}

/**
 * Fills the wildcards of `pattern` with the sizes that `shape` has at the wildcards of `template`, in order: how a
 * configuration's `reshape` turns one shape into the other.
 */
export function reshape(shape: readonly bigint[], template: readonly bigint[], pattern: readonly bigint[]): bigint[] {
  const variable = shape.filter((_, index) => template[index] === wildcard);
  return pattern.map((dimension) => (dimension === wildcard ? (variable.shift() ?? wildcard) : dimension));
}
