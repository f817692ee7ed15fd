import { centred, type MotionTemplate, smooth } from './motion-templates.ts';
import type { Outline } from './outline.ts';
import { type ShapeFacts, turningMoment } from './shape-facts.ts';

const { cos, hypot, log, max, min, sin, sqrt } = Math;

/** Weight of the log radius against distance in canvas widths: doubling the radius counts like a third of the canvas. */
const growthWeight = 0.5;
/** Maximum deviation of a path from a motion's template, as a fraction of the motion itself. */
const maxDeviation = 0.6;
/** Maximum factor by which a turn may be slower or faster than the world's. */
const turningRates = Array.from({ length: 13 }, (_, index) => 0.4 + index * 0.1);
/** How well the angles must fit a steady turn, 0 to 1. */
const minTurningFit = 0.55;

export interface SeenMotion {
  /** Undefined if it resembles none of the world's motions. */
  name: string | undefined;
  /** Whether the thing spins. */
  turns: boolean;
}

/** The motion whose path is nearest to that of the outlines. */
export function findMotion(
  outlines: readonly Outline[],
  size: number,
  shape: ShapeFacts,
  templates: readonly MotionTemplate[],
): SeenMotion {
  const turns = isTurning(outlines, size, shape, templates);
  const candidates = templates.filter((template) => doesTurn(template) === turns);
  const frames = outlines.map(({ frame }) => frame);
  const seen = {
    x: centred(smooth(outlines.map(({ x }) => x))),
    y: centred(smooth(outlines.map(({ y }) => y))),
    growth: centred(smooth(outlines.map(({ area }) => log(area) / 2))),
  };
  const deviations = candidates.map((template) => {
    const part = (way: readonly number[]) => centred(smooth(frames.map((frame) => way[frame]!)));
    return wayLength(
      difference(seen.x, part(template.x)),
      difference(seen.y, part(template.y)),
      difference(seen.growth, part(template.growth)),
    );
  });
  const nearest = deviations.indexOf(min(...deviations));
  const lengths = templates.map(({ x, y, growth }) => wayLength(x, y, growth));
  const minMoving = min(...lengths.filter((length) => length > 0.01));
  const own = wayLength(candidates[nearest]!.x, candidates[nearest]!.y, candidates[nearest]!.growth);
  const isLike = deviations[nearest]! <= maxDeviation * max(own, minMoving);
  return { name: isLike ? candidates[nearest]!.motion : undefined, turns };
}

/** Root mean square distance of a path's points from its centre. */
function wayLength(x: readonly number[], y: readonly number[], growth: readonly number[]): number {
  const sum = x.reduce((total, dx, i) => total + dx ** 2 + y[i]! ** 2 + (growthWeight * growth[i]!) ** 2, 0);
  return sqrt(sum / x.length);
}

function difference(left: readonly number[], right: readonly number[]): number[] {
  return left.map((value, index) => value - right[index]!);
}

function doesTurn({ angle }: MotionTemplate): boolean {
  return max(...angle) - min(...angle) > 0.5;
}

/** Whether the outlines' angles fit a steady turn better than no turn. */
function isTurning(
  outlines: readonly Outline[],
  size: number,
  { folds }: ShapeFacts,
  templates: readonly MotionTemplate[],
): boolean {
  const turning = templates.find(doesTurn);
  if (folds === 0 || turning === undefined) {
    return false;
  }
  const moments = outlines.map((outline) => turningMoment(outline, size, folds));
  const whole = moments.reduce((sum, { real, imaginary }) => sum + hypot(real, imaginary), 0);
  // Rotated back by the candidate angles, the moments of a thing that turns at that rate all point the same way.
  const agreement = (rate: number) => {
    let [re, im] = [0, 0];
    moments.forEach(({ real, imaginary }, index) => {
      const angle = -folds * rate * turning.angle[outlines[index]!.frame]!;
      re += real * cos(angle) - imaginary * sin(angle);
      im += real * sin(angle) + imaginary * cos(angle);
    });
    return hypot(re, im) / whole;
  };
  const best = max(...turningRates.flatMap((rate) => [agreement(rate), agreement(-rate)]));
  return best > minTurningFit && best > agreement(0);
}
