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
