import { type Trait, traits, type Verdict } from './judge.ts';
import type { OutlineQuality } from './outline-quality.ts';

/** How many of the `clips` are right, and how well their things are drawn. */
export interface Score {
  clips: number;
  right: Record<Trait | 'all', number>;
  /** Mean over the things that were seen; undefined if there are none. */
  outlines: OutlineQuality | undefined;
}

export function score(verdicts: readonly Verdict[]): Score {
  const count = (isRight: (verdict: Verdict) => boolean) => verdicts.filter(isRight).length;
  const ofTraits = traits.map((trait) => [trait, count(({ right }) => right[trait])]);
  return {
    clips: verdicts.length,
    right: { ...Object.fromEntries(ofTraits), all: count(({ isRight }) => isRight) },
    outlines: meanQuality(verdicts.flatMap(({ things }) => things).flatMap(({ seen }) => seen?.outline ?? [])),
  };
}

function meanQuality(qualities: readonly OutlineQuality[]): OutlineQuality | undefined {
  if (qualities.length === 0) {
    return undefined;
  }
  const mean = (name: keyof OutlineQuality) =>
    qualities.reduce((sum, quality) => sum + quality[name], 0) / qualities.length;
  return { steadiness: mean('steadiness'), sharpness: mean('sharpness') };
}

/** Per motion (or shape): how many things were described with it, and for how many of them it was seen. */
export function scoreByName(
  verdicts: readonly Verdict[],
  trait: 'motion' | 'shape',
): Record<string, { things: number; right: number }> {
  const scores: Record<string, { things: number; right: number }> = {};
  for (const { described, right } of verdicts.flatMap(({ things }) => things)) {
    const entry = (scores[described[trait]] ??= { things: 0, right: 0 });
    entry.things++;
    entry.right += right[trait] ? 1 : 0;
  }
  return Object.fromEntries(Object.entries(scores).sort(([a], [b]) => a.localeCompare(b)));
}
