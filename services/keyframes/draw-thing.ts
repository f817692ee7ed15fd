import { type Colour, colour, type Found } from './find-thing.ts';

const { abs, ceil, floor, max, min, sqrt } = Math;

/** Points of a pixel, in each direction, at which the thing is read. */
const samplesPerSide = 2;

export interface Placing {
  width: number;
  height: number;
  /** Of the thing, above 0. */
  scale: number;
  /** Where the thing's centre goes. */
  to: { x: number; y: number };
}

/**
 * Draws a thing in another size. Where there is something already, that which differs more from the background is seen.
 *
 * @param placed differences from the background, [height, width, 3]
 */
export function drawThing(
  { difference, centre, box }: Found,
  { width, height, scale, to }: Placing,
  placed: Float32Array,
): void {
  const columnOf = (x: number) => to.x + (x - centre.x) * scale;
  const rowOf = (y: number) => to.y + (y - centre.y) * scale;
  const [top, bottom] = [max(0, floor(rowOf(box.top)) - 1), min(height, ceil(rowOf(box.bottom)) + 1)];
  const [left, right] = [max(0, floor(columnOf(box.left)) - 1), min(width, ceil(columnOf(box.right)) + 1)];
  for (let row = top; row < bottom; row++) {
    for (let column = left; column < right; column++) {
      const drawn: Colour = [0, 0, 0];
      for (let sample = 0; sample < samplesPerSide ** 2; sample++) {
        const x = column + ((sample % samplesPerSide) + 0.5) / samplesPerSide;
        const y = row + (floor(sample / samplesPerSide) + 0.5) / samplesPerSide;
        addPoint(difference, { width, height }, centre.x + (x - to.x) / scale, centre.y + (y - to.y) / scale, drawn);
      }
      const at = (row * width + column) * 3;
      const lengthHere = lengthOf(placed[at]!, placed[at + 1]!, placed[at + 2]!);
      const [red, green, blue] = colour((channel) => drawn[channel]! / samplesPerSide ** 2);
      if (lengthOf(red, green, blue) > lengthHere) {
        placed.set([red, green, blue], at);
      }
    }
  }
}

/** Adds the colour at a point, interpolated between the centres of the four pixels around it. */
function addPoint(
  difference: Float32Array,
  { width, height }: { width: number; height: number },
  x: number,
  y: number,
  sum: Colour,
): void {
  const [left, top] = [floor(x - 0.5), floor(y - 0.5)];
  for (const row of [top, top + 1]) {
    for (const column of [left, left + 1]) {
      if (row >= 0 && row < height && column >= 0 && column < width) {
        const share = (1 - abs(x - 0.5 - column)) * (1 - abs(y - 0.5 - row));
        const at = (row * width + column) * 3;
        sum[0] += share * difference[at]!;
        sum[1] += share * difference[at + 1]!;
        sum[2] += share * difference[at + 2]!;
      }
    }
  }
}

function lengthOf(red: number, green: number, blue: number): number {
  return sqrt(red * red + green * green + blue * blue);
}
