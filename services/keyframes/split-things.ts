import { drawThing } from './draw-thing.ts';
import { type Found, findThing, type Size } from './find-thing.ts';
import { type Lanes, outOfLane } from './lanes.ts';

/** Pictures of the things of a picture, each alone. */
export interface SplitThings {
  lanes: Lanes;
  /** Bytes [height, width, 3] each. */
  pictures: Uint8Array[];
}

/**
 * Takes a picture of several things apart, the reverse of `placeThings`: each thing gets a picture of its own, larger and where
 * it would be if it were alone. Undefined if there are not as many things, with background between them, side by side.
 *
 * @param picture bytes [height, width, 3]
 * @param count of the things
 * @param scale of the things in the picture, above 0 and at most 1
 */
export function splitThings(picture: Uint8Array, size: Size, count: number, scale: number): SplitThings | undefined {
  const [best] = (['rows', 'columns'] as const)
    .flatMap((lanes) => thingsIn(picture, size, lanes, count) ?? [])
    .sort((one, other) => one.offCentre - other.offCentre);
  if (!best) {
    return undefined;
  }
  const { lanes, things } = best;
  return { lanes, pictures: things.map((thing, index) => alone(thing, size, lanes, index, count, scale)) };
}

interface Split {
  lanes: Lanes;
  things: Found[];
  /** How far the things are from the middles of their lanes, in parts of the picture. */
  offCentre: number;
}

function thingsIn(picture: Uint8Array, size: Size, lanes: Lanes, count: number): Split | undefined {
  const { width, height } = size;
  const areRows = lanes === 'rows';
  const { visibleRows, visibleColumns } = findThing(picture, size);
  const runs = runsOf(areRows ? visibleRows : visibleColumns);
  if (runs.length !== count) {
    return undefined;
  }
  // Each thing's part ends in the middle of the gap before the next.
  const ends = runs.map(({ end }, index) => {
    const next = runs[index + 1];
    return next ? (end + next.start) / 2 : Number.POSITIVE_INFINITY;
  });
  const laneOf = (column: number, row: number) => ends.findIndex((end) => (areRows ? row : column) < end);
  const things = runs.map((_, index) => findThing(picture, size, (column, row) => laneOf(column, row) === index));
  const offCentre = things.reduce((sum, { centre }, index) => {
    const at = areRows ? centre.y / height : centre.x / width;
    return sum + Math.abs(at - (index + 0.5) / count);
  }, 0);
  return { lanes, things, offCentre };
}

/** The stretches of a row of booleans that are true. */
function runsOf(isVisible: readonly boolean[]): { start: number; end: number }[] {
  const runs: { start: number; end: number }[] = [];
  isVisible.forEach((visible, at) => {
    const last = runs.at(-1);
    if (visible && last?.end === at) {
      last.end = at + 1;
    } else if (visible) {
      runs.push({ start: at, end: at + 1 });
    }
  });
  return runs;
}

function alone(
  thing: Found,
  { width, height }: Size,
  lanes: Lanes,
  index: number,
  count: number,
  scale: number,
): Uint8Array {
  const { x, y } = outOfLane({ x: thing.centre.x / width, y: thing.centre.y / height }, lanes, index, count);
  const drawn = new Float32Array(width * height * 3);
  drawThing(thing, { width, height, scale: 1 / scale, to: { x: x * width, y: y * height } }, drawn);
  return new Uint8Array(Uint8ClampedArray.from(drawn, (difference, i) => thing.background[i % 3]! + difference).buffer);
}
