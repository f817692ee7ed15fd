import type { Rgb } from '../world/render.ts';
import { colourDistance } from './colours.ts';
import type { Region } from './regions.ts';

/** A region of one frame, as part of a thing's way through the film. */
export interface Sighting {
  /** Index of the frame. */
  frame: number;
  region: Region;
}

/** More things than any prompt speaks of are counted, but not followed. */
const maxFollowed = 3;

/** The middle one of how many regions the frames have. */
export function countThings(regions: readonly (readonly Region[])[]): number {
  const counts = regions.map((found) => found.length).sort((a, b) => a - b);
  return counts[Math.floor((counts.length - 1) / 2)] ?? 0;
}

/**
 * Follows the things through the frames: each track holds the regions that are most alike in colour and place from frame
 * to frame. Frames with fewer regions than things (one hides another, or flickers) are left out.
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

/** 0 for regions alike; a colour of another name or a jump across a third of the canvas is about 1. */
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
