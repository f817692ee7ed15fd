import { type FeatureRows, rowCount } from './feature-rows.ts';

/** A row's nearest one of others. */
export interface Neighbour {
  /** Numbers of the row and of its nearest one. */
  row: number;
  nearest: number;
  /** Euclidean. */
  distance: number;
}

/** The nearest of `others` to each row, in the order of the rows; of equally near ones, the first. */
export function nearestRows(rows: FeatureRows, others: FeatureRows): Neighbour[] {
  return Array.from({ length: rowCount(rows) }, (_, row) => {
    let best: Neighbour = { row, nearest: 0, distance: Number.POSITIVE_INFINITY };
    for (let nearest = 0; nearest < rowCount(others); nearest++) {
      const distance = distanceBetween(rows, row, others, nearest);
      best = distance < best.distance ? { row, nearest, distance } : best;
    }
    return best;
  });
}

function distanceBetween(a: FeatureRows, row: number, b: FeatureRows, other: number): number {
  const { width } = a;
  let sum = 0;
  for (let i = 0; i < width; i++) {
    sum += (a.values[row * width + i]! - b.values[other * width + i]!) ** 2;
  }
  return Math.sqrt(sum);
}
