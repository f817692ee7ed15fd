import { drawCover } from '../world/render.ts';
import type { Outline } from './outline.ts';

const { atan2, cos, floor, hypot, sin } = Math;

/** What the detector needs to know about a shape, measured on a large drawing of it. */
export interface ShapeFacts {
  name: string;
  /** At radius 1. */
  area: number;
  /** Position of the centroid at radius 1. */
  x: number;
  y: number;
  /** Rotational symmetry: it looks the same after 1/folds of a turn; 0 means at any angle. */
  folds: number;
  /** Phase of the {@link turningMoment} at angle 0. */
  phase: number;
}

const drawingSize = 256;
const drawingRadius = 0.25;
/** Minimum share of the turning moment for an angle to be visible. */
const minMoment = 0.03;

/** Measures a shape of `shapeDistances`. */
export function measureShape(name: string): ShapeFacts {
  const cover = new Map<number, number>();
  drawCover(name, { x: 0.5, y: 0.5, radius: drawingRadius, angle: 0 }, drawingSize, (pixel, share) => {
    cover.set(pixel, share);
  });
  let [mass, x, y] = [0, 0, 0];
  for (const [pixel, share] of cover) {
    mass += share;
    x += (share * ((pixel % drawingSize) + 0.5)) / drawingSize;
    y += (share * (floor(pixel / drawingSize) + 0.5)) / drawingSize;
  }
  const middle = { cover, x: x / mass, y: y / mass };
  const spread = turningMoment(middle, drawingSize, 0).real;
  const folds = [1, 2, 3, 4, 5, 6, 8].find((count) => {
    const { real, imaginary } = turningMoment(middle, drawingSize, count);
    return hypot(real, imaginary) > minMoment * spread;
  });
  const { real, imaginary } = turningMoment(middle, drawingSize, folds ?? 0);
  return {
    name,
    area: mass / drawingSize ** 2 / drawingRadius ** 2,
    x: (middle.x - 0.5) / drawingRadius,
    y: (middle.y - 0.5) / drawingRadius,
    folds: folds ?? 0,
    phase: atan2(imaginary, real),
  };
}

/**
 * ∑ coverage · r² · exp(i·folds·θ) around the centre. When the shape turns, the phase turns by `folds` times the angle
 * and the magnitude stays the same.
 */
export function turningMoment(
  { cover, x, y }: Pick<Outline, 'cover' | 'x' | 'y'>,
  size: number,
  folds: number,
): { real: number; imaginary: number } {
  let [real, imaginary] = [0, 0];
  for (const [pixel, share] of cover) {
    const dx = ((pixel % size) + 0.5) / size - x;
    const dy = (floor(pixel / size) + 0.5) / size - y;
    const weight = share * (dx * dx + dy * dy);
    const angle = folds * atan2(dy, dx);
    real += weight * cos(angle);
    imaginary += weight * sin(angle);
  }
  return { real, imaginary };
}
