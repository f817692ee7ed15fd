import type { Pose } from './render.ts';
import type { Thing, World } from './world.ts';

const { PI, abs, cos, floor, max, min, sin } = Math;

/** Room around a thing of this radius, so that a star's tips stay on the canvas. */
const marginOf = (radius: number) => 1.15 * radius + 0.02;

/**
 * Where a thing of a scene is in each of `frames` frames. What words leave open is drawn with `random` (in [0, 1)), in the
 * order of `training/world/clips.py`.
 *
 * @param lane which of the scene's `count` things it is
 */
export function posesOf(
  world: World,
  thing: Thing,
  lane: number,
  count: number,
  frames: number,
  random: () => number,
): Pose[] {
  const { direction, growth, turns, bounce, orbit } = world.motions[thing.motion]!;
  const radius = world.sizes[thing.size]! * (count === 1 ? 1 : world.pairs.scale);
  const margin = marginOf(radius);
  const distance = world.speeds[thing.speed]! * (1 - 2 * margin);
  const middle = middleOf(world, direction, lane, count, random);
  // A thing that grows must have room at its largest.
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

/** The middle of a thing's way. */
function middleOf(
  { places, pairs }: World,
  direction: readonly [number, number],
  lane: number,
  count: number,
  random: () => number,
): { x: number; y: number } {
  const pick = (choices: readonly number[]) => choices[floor(random() * choices.length)]!;
  const [x, y] = direction.map((component) => (component === 0 ? pick(places) : 0.5)) as [number, number];
  if (count === 1) {
    return { x, y };
  }
  const across = pairs.lanes[lane]!;
  if (direction[1] !== 0) {
    return { x: across, y };
  }
  return { x: direction[0] === 0 ? pick(pairs.stops) : x, y: across };
}
