import sharp from 'sharp';
import type { Detector, SeenThing } from './detector.ts';
import type { Film } from './film.ts';

/** What a film's first frame keeps of the picture that it was to begin with, of all things. */
export const keptTraits = ['object', 'colour', 'place'] as const;
export type Kept = Record<(typeof keptTraits)[number], boolean>;

/** Distance in canvas widths by which the centre of a thing may differ: four pixels of 128. */
const maxShift = 1 / 32;

/** @param picture uint8 [size, size, 3], of the film's size */
export function keptInFirstFrame(detector: Detector, picture: Uint8Array, { size, frames }: Film): Kept {
  const [given, seen] = [picture, frames[0]!].map(
    // Motion takes two frames.
    (frame) => detector.detect({ size, frames: [frame, frame] }).things,
  ) as [SeenThing[], SeenThing[]];
  const pairs = given.map((thing) => ({ thing, same: nearest(thing, seen) }));
  const every = (isKept: (thing: SeenThing, same: SeenThing) => boolean) =>
    pairs.every(({ thing, same }) => same !== undefined && isKept(thing, same));
  return {
    object: given.length === seen.length && every((a, b) => a.shape === b.shape && a.size === b.size),
    colour: every((a, b) => a.colour === b.colour),
    place: every((a, b) => distance(a, b) <= maxShift),
  };
}

function nearest(thing: SeenThing, others: readonly SeenThing[]): SeenThing | undefined {
  return others.toSorted((a, b) => distance(a, thing) - distance(b, thing))[0];
}

function distance({ place: a }: SeenThing, { place: b }: SeenThing): number {
  return Math.hypot(a.x - b.x, a.y - b.y);
}

/** @param picture uint8 [size, size, 3] @returns a PNG */
export function encodeFirstFrame(picture: Uint8Array): Promise<Buffer> {
  const size = Math.sqrt(picture.length / 3);
  return sharp(picture, { raw: { width: size, height: size, channels: 3 } })
    .png()
    .toBuffer();
}
