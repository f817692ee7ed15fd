import type { Rgb } from '../world/render.ts';
import { colourDistance } from './colours.ts';
import type { Region } from './regions.ts';

/** A region in one frame, as part of a thing's path through the film. */
export interface Sighting {
  /** Index of the frame. */
  frame: number;
  region: Region;
}

/** Maximum number of things tracked; more are counted, but no prompt describes so many. */
const maxFollowed = 3;

/** The median number of regions per frame. */
export function countThings(regions: readonly (readonly Region[])[]): number {
  const counts = regions.map((found) => found.length).sort((a, b) => a - b);
  return counts[Math.floor((counts.length - 1) / 2)] ?? 0;
}

/**
 * Tracks the things through the frames by joining the regions that are most similar in colour and position. Skips
 * frames with fewer regions than things (one hides another, or flickers).
 */
export function followThings(regions: readonly (readonly Region[])[], count: number): Sighting[][] {
  const followed = Math.min(count, maxFollowed);
  const tracks: Sighting[][] = Array.from({ length: followed }, () => []);
  regions.forEach((found, frame) => {
    if (found.length < followed) {
      return;
    }
    const largest = found.slice(0, followed);
    const last = tracks.map((track) => track.at(-1)?.region);
    const [best] = permutations(largest)
      .map((order) => ({ order, cost: order.reduce((sum, region, i) => sum + unlikeness(region, last[i]), 0) }))
      .sort((a, b) => a.cost - b.cost);
    best!.order.forEach((region, index) => {
      tracks[index]!.push({ frame, region });
    });
  });
  return tracks;
}

/** 0 for identical regions; about 1 for another colour name or a jump across a third of the canvas. */
function unlikeness(region: Region, last: Region | undefined): number {
  if (last === undefined) {
    return 0;
  }
  const colours: [Rgb, Rgb] = [region.colour, last.colour];
  return colourDistance(...colours) / 150 + Math.hypot(region.x - last.x, region.y - last.y) / 0.33;
}

function permutations<T>(items: readonly T[]): T[][] {
  if (items.length < 2) {
    return [[...items]];
  }
  return items.flatMap((first, index) => permutations(items.toSpliced(index, 1)).map((rest) => [first, ...rest]));
}
