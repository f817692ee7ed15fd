import type { Scene, Thing } from '../world/world.ts';
import type { SeenScene, SeenThing } from './detector.ts';

/** What is judged, in the order of the tables. */
export const traits = ['count', 'background', 'colour', 'size', 'shape', 'motion'] as const;
export type Trait = (typeof traits)[number];

const thingTraits = ['colour', 'size', 'shape', 'motion'] as const;

/** A described thing, what was seen of it (undefined if missing) and which traits are right. */
export interface JudgedThing {
  described: Thing;
  seen: SeenThing | undefined;
  right: Record<(typeof thingTraits)[number], boolean>;
}

export interface Verdict {
  scene: Scene;
  seen: SeenScene;
  things: JudgedThing[];
  /** With two things, a trait is right if it is right for both. */
  right: Record<Trait, boolean>;
  /** Whether every trait is right. */
  isRight: boolean;
}

/** Compares what was seen with the description. Two things may appear in either order. */
export function judge(scene: Scene, seen: SeenScene): Verdict {
  const orders = scene.things.length === 1 ? [seen.things] : [seen.things, seen.things.slice(0, 2).reverse()];
  const [things] = orders
    .map((order) => scene.things.map((described, index) => judgeThing(described, order[index])))
    .sort((a, b) => rightTraits(b) - rightTraits(a)) as [JudgedThing[]];
  const right = {
    count: seen.count === scene.things.length,
    background: seen.background === scene.background,
    ...Object.fromEntries(thingTraits.map((trait) => [trait, things.every((thing) => thing.right[trait])])),
  } as Record<Trait, boolean>;
  return { scene, seen, things, right, isRight: Object.values(right).every(Boolean) };
}

function judgeThing(described: Thing, seen: SeenThing | undefined): JudgedThing {
  const right = Object.fromEntries(thingTraits.map((trait) => [trait, seen?.[trait] === described[trait]]));
  return { described, seen, right: right as JudgedThing['right'] };
}

function rightTraits(things: readonly JudgedThing[]): number {
  return things.reduce((sum, { right }) => sum + Object.values(right).filter(Boolean).length, 0);
}
