import { formatTable } from '../services/kit/table.ts';
import { type Kept, keptTraits } from '../triton-models/evaluation/first-frame.ts';
import { traits, type Verdict } from '../triton-models/evaluation/judge.ts';
import type { OutlineQuality } from '../triton-models/evaluation/outline-quality.ts';
import { type Score, score, scoreByName } from '../triton-models/evaluation/scores.ts';
import { type JudgeWeights, withWeights } from '../triton-models/metrics/judge-weights.ts';

/** Minimum share of drawn scenes that the detector must get right for its verdicts on videos to count. */
const minTrust = 0.98;
const columns = [...traits, 'all'] as const;
const qualities = ['steadiness', 'sharpness'] as const;

/** A row of the table; for videos also with the outlines of the same scenes drawn exactly. */
export interface NamedScore {
  name: string;
  score: Score;
  trueOutlines?: OutlineQuality | undefined;
}

/** The scores of an evaluation. */
export interface EvaluationReport {
  /** By kind: videos or drawn truth with one shape, one of the smallest size, or two; without empty kinds. */
  scores: NamedScore[];
  motions: ReturnType<typeof scoreByName>;
  shapes: ReturnType<typeof scoreByName>;
  /** Videos that keep the picture that they were to begin with; absent if none was given one. */
  firstFrames?: { clips: number; kept: Record<keyof Kept, number> };
  /** What the detector does not recognise reliably in drawn scenes. */
  warnings: string[];
}

/**
 * The report on videos and on drawn truth, whose first scenes are the videos'.
 *
 * @param smallest name of a size
 * @param kept of each video that was given a picture
 */
export function reportOf(
  videos: readonly Verdict[],
  truth: readonly Verdict[],
  { smallest, kept }: { smallest: string; kept: readonly Kept[] },
): EvaluationReport {
  const kinds: [string, (verdict: Verdict) => boolean][] = [
    ['one thing', ({ scene }) => scene.things.length === 1],
    [`one ${smallest} thing`, ({ scene }) => scene.things.length === 1 && scene.things[0]!.size === smallest],
    ['two things', ({ scene }) => scene.things.length === 2],
  ];
  const ofSameScenes = truth.slice(0, videos.length);
  const scores = kinds
    .map(([kind, isOfKind]) => ({
      name: `videos of ${kind}`,
      score: score(videos.filter(isOfKind)),
      trueOutlines: score(ofSameScenes.filter(isOfKind)).outlines,
    }))
    .filter(({ score }) => score.clips > 0);
  const truths = kinds
    .map(([kind, isOfKind]) => ({ name: `detector on drawn truth, ${kind}`, score: score(truth.filter(isOfKind)) }))
    .filter(({ score }) => score.clips > 0);
  return {
    scores: [...scores, ...truths],
    motions: scoreByName(videos, 'motion'),
    shapes: scoreByName(videos, 'shape'),
    ...(kept.length > 0 && { firstFrames: { clips: kept.length, kept: countKept(kept) } }),
    warnings: truths.flatMap(({ name, score: { clips, right } }) =>
      columns
        .filter((column) => right[column] < minTrust * clips)
        .map(
          (column) =>
            `${name}: only ${percent(right[column], clips)} of ${column} right, below ${100 * minTrust} %: the videos' scores are not reliable`,
        ),
    ),
  };
}

function countKept(kept: readonly Kept[]): Record<keyof Kept, number> {
  const count = (trait: keyof Kept) => kept.filter((one) => one[trait]).length;
  return { object: count('object'), colour: count('colour'), place: count('place') };
}

/**
 * The report for people.
 *
 * @param weights of the preset that made the videos
 */
export function formatReport(
  { scores, motions, shapes, firstFrames }: EvaluationReport,
  weights: JudgeWeights,
): string {
  const rows = scores.map(({ name, score: { clips, right, outlines }, trueOutlines }) => [
    name.startsWith('videos') ? withWeights(name, weights) : name,
    String(clips),
    ...columns.map((column) => percent(right[column], clips)),
    ...qualities.map((quality) => formatQuality(quality, outlines, trueOutlines)),
  ]);
  const table = formatTable(['right in', 'clips', ...columns, ...qualities], rows);
  const kept = firstFrames ? `${withWeights('kept in frame 1', weights)}: ${formatKept(firstFrames)}\n` : '';
  return `${table}\n${kept}${withWeights('motions', weights)}: ${formatNames(motions)}\n${withWeights('shapes', weights)}: ${formatNames(shapes)}\n`;
}

function formatKept({ clips, kept }: NonNullable<EvaluationReport['firstFrames']>): string {
  return keptTraits.map((trait) => `${trait} ${percent(kept[trait], clips)}`).join(', ');
}

function formatQuality(
  quality: (typeof qualities)[number],
  seen: OutlineQuality | undefined,
  truth: OutlineQuality | undefined,
): string {
  const value = seen ? seen[quality].toFixed(3) : '-';
  return truth ? `${value} of ${truth[quality].toFixed(3)}` : value;
}

function formatNames(scores: EvaluationReport['motions']): string {
  return Object.entries(scores)
    .map(([name, { things, right }]) => `${name} ${right}/${things}`)
    .join(', ');
}

function percent(part: number, whole: number): string {
  return `${((100 * part) / whole).toFixed(1)} %`;
}
