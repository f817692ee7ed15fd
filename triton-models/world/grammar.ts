import { crc32 } from 'node:zlib';
import { lanesOf } from './paths.ts';
import type { Scene, Thing, World } from './world.ts';

/** A scene of the part of the world that training never sees; `random` (in [0, 1)) decides everything. */
export function unseenScene(world: World, random: () => number): Scene {
  const pick = <T>(choices: readonly T[]): T => choices[Math.floor(random() * choices.length)]!;
  const names = {
    backgrounds: Object.keys(world.backgrounds),
    sizes: Object.keys(world.sizes),
    colours: Object.keys(world.colours),
    motions: Object.keys(world.motions),
    speeds: Object.keys(world.speeds),
  };
  const count = random() < world.pairs.share ? 2 : 1;
  for (;;) {
    const background = pick(names.backgrounds);
    const things = Array.from({ length: count }, () => ({
      size: pick(names.sizes),
      colour: pick(names.colours),
      shape: pick(world.shapes),
      motion: pick(names.motions),
      speed: pick(names.speeds),
    }));
    const scene = { background, things };
    if (isPossible(world, scene) && isHeldOut(world, scene)) {
      return scene;
    }
  }
}

/** Whether a scene is held out of training, by a hash of its things that ignores the clip's direction. */
export function isHeldOut(world: World, { background, things }: Scene): boolean {
  return things.some(({ colour, shape, motion }) => {
    const [name] = [motion, world.motions[motion]!.reversed ?? motion].sort();
    return crc32(`${colour} ${shape} ${name} ${background}`) % 100 < world.heldOutOf100;
  });
}

/** The sentence that the documentation would use for a scene. */
export function plainCaption(world: World, { background, things }: Scene): string {
  const acts = things.map(({ size, colour, shape, motion, speed }) => {
    const words = [withArticle(`${size} ${colour} ${shape}`), world.motions[motion]!.words, speed];
    return words.filter((word) => word !== '').join(' ');
  });
  return `${acts.join(' and ')} on ${withArticle(background)} background`;
}

/**
 * Whether the things stand out from the background and from each other, and their motions are visible with their
 * shapes.
 */
function isPossible(world: World, { background, things }: Scene): boolean {
  const [first, second] = things;
  return (
    things.every((thing) => stands(world, thing, background) && !spinsUnseen(world, thing)) &&
    (second === undefined || isPossiblePair(world, first!, second))
  );
}

/** Whether two things can be distinguished and keep to lanes side by side. */
function isPossiblePair(world: World, first: Thing, second: Thing): boolean {
  const alike = first.colour === second.colour && first.shape === second.shape;
  const lanes = [first, second].map(({ motion }) => lanesOf(world.motions[motion]!));
  return !alike && !lanes.includes(undefined) && !(lanes.includes('rows') && lanes.includes('columns'));
}

function stands(world: World, { colour }: Thing, background: string): boolean {
  const behind = world.backgrounds[background]!;
  const difference = world.colours[colour]!.map((value, channel) => value - behind[channel]!);
  return Math.hypot(...difference) >= world.minContrast;
}

function spinsUnseen(world: World, { shape, motion }: Thing): boolean {
  return world.motions[motion]!.turns !== 0 && world.roundShapes.includes(shape);
}

function withArticle(words: string): string {
  return /^[aeiou]/.test(words) ? `an ${words}` : `a ${words}`;
}
