import { assignLanes, posesOf } from '../world/paths.ts';
import { renderFrame } from '../world/render.ts';
import type { Scene, World } from '../world/world.ts';
import type { Film } from './film.ts';

/** Draws the film that a scene describes; `random` (in [0, 1)) decides what the words leave open. */
export function renderTruth(world: World, scene: Scene, frames: number, size: number, random: () => number): Film {
  const { things } = scene;
  const lanes = assignLanes(world, things);
  const poses = things.map((thing, index) => posesOf(world, thing, lanes[index], frames, random));
  return {
    size,
    frames: Array.from({ length: frames }, (_, frame) => {
      const sprites = things.map(({ shape, colour }, index) => ({
        shape,
        colour: world.colours[colour]!,
        pose: poses[index]![frame]!,
      }));
      return renderFrame(world.backgrounds[scene.background]!, sprites, size);
    }),
  };
}
