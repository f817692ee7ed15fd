import type { Rgb } from '../world/render.ts';

const { floor, max, min, sqrt } = Math;

/** A connected region of a frame that is not background. */
export interface Region {
  /** Indices of its pixels. */
  pixels: readonly number[];
  colour: Rgb;
  /** Its centre, in canvas widths. */
  x: number;
  y: number;
}

/**
 * The connected regions of a frame whose colour differs from the background by more than `threshold` (Euclidean, 0 to
 * 442), largest first. Regions of fewer than `minPixels` pixels are ignored as noise.
 */
export function findRegions(
  frame: Uint8Array,
  size: number,
  background: Rgb,
  threshold: number,
  minPixels: number,
): Region[] {
  const distances = new Float32Array(size * size);
  const isOpen = new Uint8Array(size * size);
  for (let pixel = 0; pixel < distances.length; pixel++) {
    distances[pixel] = distanceTo(background, frame, pixel);
    isOpen[pixel] = Number(distances[pixel]! > threshold);
  }
  const regions: Region[] = [];
  for (let start = 0; start < isOpen.length; start++) {
    if (isOpen[start]) {
      const pixels = flood(start, isOpen, size);
      if (pixels.length >= minPixels) {
        regions.push(describe(pixels, frame, distances, size));
      }
    }
  }
  return regions.sort((a, b) => b.pixels.length - a.pixels.length);
}

export function distanceTo(colour: Rgb, frame: Uint8Array, pixel: number): number {
  const at = pixel * 3;
  const [red, green, blue] = [frame[at]! - colour[0], frame[at + 1]! - colour[1], frame[at + 2]! - colour[2]];
  // Several times faster than hypot.
  return sqrt(red * red + green * green + blue * blue);
}

/** Takes the open pixels around `start`, corners included, and closes them. */
function flood(start: number, isOpen: Uint8Array, size: number): number[] {
  const pixels = [start];
  isOpen[start] = 0;
  for (let next = 0; next < pixels.length; next++) {
    forNeighbours(pixels[next]!, size, (neighbour) => {
      if (isOpen[neighbour]) {
        isOpen[neighbour] = 0;
        pixels.push(neighbour);
      }
    });
  }
  return pixels;
}

/** Visits the up to eight pixels around one. */
export function forNeighbours(pixel: number, size: number, visit: (neighbour: number) => void): void {
  const column = pixel % size;
  const row = (pixel - column) / size;
  for (let y = max(0, row - 1); y <= min(size - 1, row + 1); y++) {
    for (let x = max(0, column - 1); x <= min(size - 1, column + 1); x++) {
      if (x !== column || y !== row) {
        visit(y * size + x);
      }
    }
  }
}

function describe(pixels: number[], frame: Uint8Array, distances: Float32Array, size: number): Region {
  const sums = [0, 0, 0, 0, 0];
  let weight = 0;
  for (const pixel of pixels) {
    // A pixel at the edge is partly background, so it counts less.
    const share = distances[pixel]!;
    weight += share;
    sums[0]! += share * ((pixel % size) + 0.5);
    sums[1]! += share * (floor(pixel / size) + 0.5);
    for (let channel = 0; channel < 3; channel++) {
      sums[2 + channel]! += share * frame[pixel * 3 + channel]!;
    }
  }
  const [x, y, red, green, blue] = sums.map((sum) => sum / weight) as [number, number, number, number, number];
  return { pixels, colour: [red, green, blue], x: x / size, y: y / size };
}
