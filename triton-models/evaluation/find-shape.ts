import { drawCover } from '../world/render.ts';
import type { Outline } from './outline.ts';
import { type ShapeFacts, turningMoment } from './shape-facts.ts';

const { atan2, cos, floor, max, min, sin, sqrt } = Math;

/** Number of frames to compare; more do not change the result. */
const comparedFrames = 15;

/** The shape whose drawing, with the same centre and area, best overlaps the outlines: upright, or at their angle. */
export function findShape(
  outlines: readonly Outline[],
  size: number,
  shapes: readonly ShapeFacts[],
  orientation: 'upright' | 'turned',
): ShapeFacts {
  const stride = max(1, floor(outlines.length / comparedFrames));
  const compared = outlines.filter((_, index) => index % stride === 0);
  const scores = shapes.map((shape) =>
    compared.reduce((sum, outline) => {
      const angle = orientation === 'upright' ? 0 : seenAngle(outline, size, shape);
      return sum + overlap(outline, size, shape, angle);
    }, 0),
  );
  return shapes[scores.indexOf(max(...scores))]!;
}

/** A shape's angle, radians clockwise; one of several if it is symmetric. */
function seenAngle(outline: Outline, size: number, { folds, phase }: ShapeFacts): number {
  if (folds === 0) {
    return 0;
  }
  const { real, imaginary } = turningMoment(outline, size, folds);
  return (atan2(imaginary, real) - phase) / folds;
}

/** Intersection over union of the outline and the shape drawn in the same place, 0 to 1. */
function overlap(outline: Outline, size: number, shape: ShapeFacts, angle: number): number {
  const radius = sqrt(outline.area / shape.area);
  const [cosine, sine] = [cos(angle), sin(angle)];
  const pose = {
    x: outline.x - radius * (cosine * shape.x - sine * shape.y),
    y: outline.y - radius * (sine * shape.x + cosine * shape.y),
    radius,
    angle,
  };
  let both = 0;
  let drawn = 0;
  drawCover(shape.name, pose, size, (pixel, share) => {
    both += min(share, outline.cover.get(pixel) ?? 0);
    drawn += share;
  });
  return both / (outline.area * size ** 2 + drawn - both);
}
