const { abs, atan2, cos, floor, hypot, max, PI, sin, sqrt } = Math;

/**
 * Signed distance of a point to a shape of radius 1 around the origin, negative inside; x grows to the right, y
 * downwards. The shapes are scaled to look equally large.
 */
export type SignedDistance = (x: number, y: number) => number;

const circle: SignedDistance = (x, y) => sqrt(x * x + y * y) - 1;

const square: SignedDistance = (x, y) => max(abs(x), abs(y)) - 0.9;

/** Equilateral, tip up, its centroid at the origin. */
const triangle: SignedDistance = (x, y) => max((sqrt(3) / 2) * abs(x) - y / 2, y) - 1.3 / 2;

const sector = (2 * PI) / 5;
const starTip = 1.35;
const starDent = { x: 0.58 * sin(sector / 2), y: 0.58 * cos(sector / 2) };
const starEdge = hypot(starDent.x, starDent.y - starTip);

/** Five-pointed: the plane is folded into a tenth, where the outline is a single edge. */
const star: SignedDistance = (x, y) => {
  const turned = atan2(x, -y) + sector / 2;
  const angle = abs(turned - sector * floor(turned / sector) - sector / 2);
  const radius = sqrt(x * x + y * y);
  return (radius * sin(angle) * (starTip - starDent.y) + (radius * cos(angle) - starTip) * starDent.x) / starEdge;
};

const ring: SignedDistance = (x, y) => abs(sqrt(x * x + y * y) - 0.85) - 0.3;

/** The shapes that can be drawn, by name; the same as in `training/world/renderer.py`. */
export const shapeDistances: Readonly<Record<string, SignedDistance>> = { circle, square, triangle, star, ring };
