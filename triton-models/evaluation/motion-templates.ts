import { bothLanes, type Lane, lanesOf, posesOf } from '../world/paths.ts';
import type { Pose } from '../world/render.ts';
import type { Motion, World } from '../world/world.ts';

/** The path of a motion, independent of where on the canvas it starts. */
export interface MotionTemplate {
  motion: string;
  size: string;
  /** Position in each frame relative to the path's centre, in canvas widths. */
  x: readonly number[];
  y: readonly number[];
  /** Logarithm of the radius minus its mean. */
  growth: readonly number[];
  /** Radians. */
  angle: readonly number[];
  /** Median over the frames. */
  radius: number;
}

/** How a path's free choices are drawn: all low, all high or in between. */
const draws = Array.from({ length: 8 }, (_, index) => index / 8);

/** Every distinct path of the world's things over `frames` frames of a clip with `thingCount` things. */
export function motionTemplates(world: World, thingCount: number, frames: number): MotionTemplate[] {
  const things = Object.keys(world.sizes).flatMap((size) =>
    Object.keys(world.motions).flatMap((motion) =>
      Object.keys(world.speeds).map((speed) => ({ size, motion, speed, shape: world.shapes[0]!, colour: '' })),
    ),
  );
  const all = things.flatMap((thing) =>
    lanesFor(world.motions[thing.motion]!, thingCount).flatMap((lane) =>
      draws.map((draw) =>
        toTemplate(
          thing,
          posesOf(world, thing, lane, frames, () => draw),
        ),
      ),
    ),
  );
  return [...new Map(all.map((template) => [keyOf(template), template])).values()];
}

/** The lanes, if any, in which one of this many things can have this motion. */
function lanesFor(motion: Motion, thingCount: number): (Lane | undefined)[] {
  if (thingCount === 1) {
    return [undefined];
  }
  const lanes = lanesOf(motion);
  return lanes === undefined ? [] : bothLanes(lanes === 'either' ? 'rows' : lanes);
}

function toTemplate({ motion, size }: { motion: string; size: string }, poses: readonly Pose[]): MotionTemplate {
  return {
    motion,
    size,
    x: centred(poses.map((pose) => pose.x)),
    y: centred(poses.map((pose) => pose.y)),
    growth: centred(poses.map((pose) => Math.log(pose.radius))),
    angle: poses.map((pose) => pose.angle),
    radius: median(poses.map((pose) => pose.radius)),
  };
}

/** Equal for motions that cannot be distinguished. */
function keyOf({ motion, size, ...ways }: MotionTemplate): string {
  const rounded = Object.values(ways).map((way) => [way].flat().map((value) => Math.round(value * 1000)));
  return JSON.stringify([motion, size, rounded]);
}

/** The values minus their mean. */
export function centred(values: readonly number[]): number[] {
  const mean = values.reduce((sum, value) => sum + value, 0) / values.length;
  return values.map((value) => value - mean);
}

/** Moving average over an eighth of the film's frames, so that a trembling outline keeps its path. */
export function smooth(values: readonly number[]): number[] {
  const reach = Math.round(values.length / 16);
  return values.map((_, index) => {
    // The window is symmetric: otherwise the ends would be pulled inwards.
    const near = Math.min(reach, index, values.length - 1 - index);
    const window = values.slice(index - near, index + near + 1);
    return window.reduce((sum, value) => sum + value, 0) / window.length;
  });
}

export function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)]!;
}
