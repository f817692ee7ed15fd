import type { Rgb } from '../world/render.ts';
import { MedianColour } from './colours.ts';
import type { Film } from './film.ts';
import { distanceTo, forNeighbours } from './regions.ts';
import type { Sighting } from './tracks.ts';

const { floor, min } = Math;

/** What can be seen of a thing in one frame; lengths in canvas widths. */
export interface Outline {
  /** Index of the frame. */
  frame: number;
  /** Coverage of each pixel that the thing touches, by pixel index. */
  cover: ReadonlyMap<number, number>;
  /** Fraction of the canvas. */
  area: number;
  /** Centroid. */
  x: number;
  y: number;
}

/** Rings of pixels around a region that may contain its blurred edge. */
const edgeWidth = 2;

/** The colour of a thing's interior: the median of the most distinct pixels of each frame. */
export function insideColour(track: readonly Sighting[], { frames }: Film, background: Rgb): Rgb {
  const median = new MedianColour();
  for (const { frame, region } of track) {
    const distances = region.pixels.map((pixel) => distanceTo(background, frames[frame]!, pixel));
    const strongest = distances.toSorted((a, b) => a - b)[floor(distances.length * 0.95)]!;
    region.pixels.forEach((pixel, index) => {
      if (distances[index]! > 0.75 * strongest) {
        median.add(frames[frame]!, pixel);
      }
    });
  }
  return median.value();
}

/** How much of each pixel a thing of this colour covers, from where its colour lies between background and thing. */
export function outlineOf({ frame, region }: Sighting, film: Film, background: Rgb, colour: Rgb): Outline {
  const { size } = film;
  const pixels = new Set(region.pixels);
  let rim: Iterable<number> = region.pixels;
  for (let ring = 0; ring < edgeWidth; ring++) {
    const next = new Set<number>();
    for (const pixel of rim) {
      forNeighbours(pixel, size, (neighbour) => {
        if (!pixels.has(neighbour)) {
          next.add(neighbour);
          pixels.add(neighbour);
        }
      });
    }
    rim = next;
  }
  const axis = colour.map((value, channel) => value - background[channel]!);
  const length = axis.reduce((sum, value) => sum + value * value, 0);
  const cover = new Map<number, number>();
  let area = 0;
  let x = 0;
  let y = 0;
  for (const pixel of pixels) {
    const along = axis.reduce(
      (sum, value, channel) => sum + value * (film.frames[frame]![pixel * 3 + channel]! - background[channel]!),
      0,
    );
    const share = min(1, along / length);
    if (share > 0) {
      cover.set(pixel, share);
      area += share;
      x += share * ((pixel % size) + 0.5);
      y += share * (floor(pixel / size) + 0.5);
    }
  }
  return { frame, cover, area: area / size ** 2, x: x / area / size, y: y / area / size };
}
