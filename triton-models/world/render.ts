import { type SignedDistance, shapeDistances } from './shapes.ts';

const { ceil, cos, floor, max, min, sin } = Math;

/** Red, green and blue, 0 to 255. */
export type Rgb = readonly [number, number, number];

/** Placement of a shape at one moment; lengths in canvas widths, from the top left. */
export interface Pose {
  x: number;
  y: number;
  radius: number;
  /** Radians, clockwise. */
  angle: number;
}

/** Something to draw. */
export interface Sprite {
  shape: string;
  colour: Rgb;
  pose: Pose;
}

/** Draws sprites in order, later ones on top: uint8 [size, size, 3]. */
export function renderFrame(background: Rgb, sprites: readonly Sprite[], size: number): Uint8Array {
  const picture = new Float32Array(size * size * 3);
  for (let position = 0; position < picture.length; position += 3) {
    for (let channel = 0; channel < 3; channel++) {
      picture[position + channel] = background[channel]!;
    }
  }
  for (const { shape, colour, pose } of sprites) {
    drawCover(shape, pose, size, (pixel, cover) => {
      for (let channel = 0; channel < 3; channel++) {
        const position = pixel * 3 + channel;
        picture[position]! += cover * (colour[channel]! - picture[position]!);
      }
    });
  }
  // Rounds to the nearest.
  return new Uint8Array(new Uint8ClampedArray(picture).buffer);
}

/**
 * Calls `visit` for every pixel of a `size`² canvas that a shape covers, with the pixel's index and its coverage in (0,
 * 1], estimated from the signed distance of the pixel's centre.
 */
export function drawCover(
  shape: string,
  { x, y, radius, angle }: Pose,
  size: number,
  visit: (pixel: number, cover: number) => void,
): void {
  const distance = shapeDistances[shape] as SignedDistance;
  // Wide enough for a star's tips.
  const reach = 1.4 * radius + 1 / size;
  const first = (centre: number) => max(0, floor((centre - reach) * size));
  const last = (centre: number) => min(size - 1, ceil((centre + reach) * size));
  const cosine = cos(angle) / radius;
  const sine = sin(angle) / radius;
  for (let row = first(y); row <= last(y); row++) {
    const dy = (row + 0.5) / size - y;
    for (let column = first(x); column <= last(x); column++) {
      const dx = (column + 0.5) / size - x;
      const outside = distance(cosine * dx + sine * dy, cosine * dy - sine * dx) * radius * size;
      const cover = min(1, 0.5 - outside);
      if (cover > 0) {
        visit(row * size + column, cover);
      }
    }
  }
}
