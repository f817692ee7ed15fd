import type { Outline } from './outline.ts';

const { abs, floor, hypot, max, min } = Math;

/** How well a thing's outline is drawn. */
export interface OutlineQuality {
  /**
   * How similar the outline is from one frame to the next, aligned by centre: mean intersection over union, 0 to 1. A
   * thing that turns, grows or shrinks stays below 1 however well it is drawn.
   */
  steadiness: number;
  /**
   * Steepness of the edge in coverage per pixel, 0 to 1, weighted towards steep parts: 1 for an edge between two
   * pixels, about 0.65 for an exact edge that crosses pixels.
   */
  sharpness: number;
}

/** Coverage of each pixel in a square around the outline's centre, row by row. */
interface Cutout {
  frame: number;
  cover: Float32Array;
  /** Position of the outline's centre within the square's middle pixel, 0 to 1. */
  x: number;
  y: number;
}

/** The quality of a thing's outlines in frames of this size; undefined if no two consecutive frames show it. */
export function outlineQuality(outlines: readonly Outline[], size: number): OutlineQuality | undefined {
  const reach = max(0, ...outlines.map((outline) => reachOf(outline, size)));
  const side = 2 * reach + 1;
  const cutouts = outlines.map((outline) => cutOut(outline, size, reach));
  const neighbours = cutouts
    .slice(1)
    .map((after, index) => ({ before: cutouts[index]!, after }))
    .filter(({ before, after }) => after.frame === before.frame + 1);
  if (neighbours.length === 0) {
    return undefined;
  }
  return {
    steadiness: mean(neighbours.map(({ before, after }) => likeness(before, after, side))),
    sharpness: mean(cutouts.map(({ cover }) => steepness(cover, side))),
  };
}

/** Distance in pixels from the outline's centre to its furthest covered pixel, plus a margin of two. */
function reachOf({ cover, x, y }: Outline, size: number): number {
  const [column, row] = [floor(x * size), floor(y * size)];
  let reach = 0;
  for (const pixel of cover.keys()) {
    reach = max(reach, abs((pixel % size) - column), abs(floor(pixel / size) - row));
  }
  return reach + 2;
}

function cutOut({ frame, cover, x, y }: Outline, size: number, reach: number): Cutout {
  const [column, row] = [floor(x * size), floor(y * size)];
  const side = 2 * reach + 1;
  const square = new Float32Array(side * side);
  for (const [pixel, share] of cover) {
    square[(floor(pixel / size) - row + reach) * side + (pixel % size) - column + reach] = share;
  }
  return { frame, cover: square, x: x * size - column, y: y * size - row };
}

/** Intersection over union, with the later outline shifted so that the centres coincide. */
function likeness(before: Cutout, after: Cutout, side: number): number {
  const [dx, dy] = [after.x - before.x, after.y - before.y];
  const [left, top] = [floor(dx), floor(dy)];
  const [right, bottom] = [dx - left, dy - top];
  let [both, either] = [0, 0];
  // The rim is empty, so a shifted square needs no further pixels.
  for (let row = 1; row < side - 1; row++) {
    for (let column = 1; column < side - 1; column++) {
      const pixel = row * side + column;
      const from = pixel + top * side + left;
      const upper = (1 - right) * after.cover[from]! + right * after.cover[from + 1]!;
      const lower = (1 - right) * after.cover[from + side]! + right * after.cover[from + side + 1]!;
      const moved = (1 - bottom) * upper + bottom * lower;
      both += min(before.cover[pixel]!, moved);
      either += max(before.cover[pixel]!, moved);
    }
  }
  return both / either;
}

/** Mean difference of neighbouring pixels, weighted by the difference itself. */
function steepness(cover: Float32Array, side: number): number {
  let [squares, sum] = [0, 0];
  for (let row = 0; row < side - 1; row++) {
    for (let column = 0; column < side - 1; column++) {
      const pixel = row * side + column;
      const slope = hypot(cover[pixel + 1]! - cover[pixel]!, cover[pixel + side]! - cover[pixel]!);
      squares += slope * slope;
      sum += slope;
    }
  }
  return squares / sum;
}

function mean(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}
