import type { Pose } from './render.ts';
import type { Motion, Thing, World } from './world.ts';

const { PI, abs, cos, floor, max, min, sin } = Math;

/** Room around a thing of this radius, so that a star's tips stay on the canvas. */
const marginOf = (radius: number) => 1.15 * radius + 0.02;

/** The lane of one of two things, so that neither hides the other: one of two rows or of two columns. */
export interface Lane {
  /** 0: the upper row or the left column. */
  index: 0 | 1;
  are: 'rows' | 'columns';
}

/**
 * The lanes that a motion can keep to; undefined for motions that fit neither rows nor columns (diagonals and circles).
 */
export function lanesOf({ direction, bounce, orbit }: Motion): 'rows' | 'columns' | 'either' | undefined {
  const [right, down] = direction;
  if (orbit !== undefined || (right !== 0 && down !== 0)) {
    return undefined;
  }
  if (right !== 0) {
    return 'rows';
  }
  return down !== 0 || bounce !== undefined ? 'columns' : 'either';
}

/** The lane of each of two things; a single thing has none. */
export function assignLanes(world: World, things: readonly Thing[]): (Lane | undefined)[] {
  const are = things.some(({ motion }) => lanesOf(world.motions[motion]!) === 'columns') ? 'columns' : 'rows';
  return things.length === 1 ? [undefined] : bothLanes(are);
}

export function bothLanes(are: Lane['are']): [Lane, Lane] {
  return [
    { index: 0, are },
    { index: 1, are },
  ];
}

/**
 * The position of a thing in each of `frames` frames. What the words leave open is drawn with `random` (in [0, 1)), in
 * the same order as in `training/world/clips.py`.
 */
export function posesOf(
  world: World,
  thing: Thing,
  lane: Lane | undefined,
  frames: number,
  random: () => number,
): Pose[] {
  const { direction, growth, turns, bounce, orbit } = world.motions[thing.motion]!;
  const radius = world.sizes[thing.size]! * (lane ? world.pairs.scale : 1);
  const margin = marginOf(radius);
  const distance = world.speeds[thing.speed]! * (1 - 2 * margin);
  const middle = middleOf(world, direction, lane, random);
  // A growing thing must have room at its largest.
  const limit = growth[0] === growth[1] ? 0 : marginOf(radius * max(...growth));
  const within = (value: number) => min(1 - limit, max(limit, value));
  return Array.from({ length: frames }, (_, frame) => {
    const u = frame / (frames - 1);
    const pose = {
      x: within(middle.x + direction[0] * distance * (u - 0.5)),
      y: within(middle.y + direction[1] * distance * (u - 0.5)),
      radius: radius * (growth[0] + (growth[1] - growth[0]) * u),
      angle: 2 * PI * turns * u,
    };
    if (bounce !== undefined) {
      const ground = 1 - margin;
      pose.y = ground - min(bounce.height, ground - margin) * abs(sin(bounce.hops * PI * u));
    }
    if (orbit !== undefined) {
      const reach = min(orbit, 0.5 - margin);
      pose.x = 0.5 + reach * cos(2 * PI * u);
      pose.y = 0.5 + reach * sin(2 * PI * u);
    }
    return pose;
  });
}

/** The centre of a thing's path. */
function middleOf(
  { places, pairs }: World,
  direction: readonly [number, number],
  lane: Lane | undefined,
  random: () => number,
): { x: number; y: number } {
  const pick = (choices: readonly number[]) => choices[floor(random() * choices.length)]!;
  if (!lane) {
    const [x, y] = direction.map((component) => (component === 0 ? pick(places) : 0.5)) as [number, number];
    return { x, y };
  }
  const stands = direction.every((component) => component === 0);
  const along = stands ? pick(pairs.stops) : 0.5;
  const across = pairs.lanes[lane.index];
  return lane.are === 'rows' ? { x: along, y: across } : { x: across, y: along };
}
