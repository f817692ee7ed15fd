/** How things stand side by side, the first one on top or on the left. */
export type Lanes = 'rows' | 'columns';

interface Point {
  /** Parts of the picture's width and height. */
  x: number;
  y: number;
}

/** How far things move across their lanes, as a part of their way when alone. */
const partAcross = 0.5;

/** Where a thing that is at this point when alone is in its lane. */
export function intoLane({ x, y }: Point, lanes: Lanes, index: number, count: number): Point {
  const across = (at: number) => (index + 0.5) / count + (at - 0.5) * partAcross;
  return lanes === 'rows' ? { x, y: across(y) } : { x: across(x), y };
}

/** The reverse of {@link intoLane}. */
export function outOfLane({ x, y }: Point, lanes: Lanes, index: number, count: number): Point {
  const across = (at: number) => 0.5 + (at - (index + 0.5) / count) / partAcross;
  return lanes === 'rows' ? { x, y: across(y) } : { x: across(x), y };
}
