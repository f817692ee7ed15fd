import { formatTable } from '../services/kit/table.ts';
import { traits, type Verdict } from '../triton-models/evaluation/judge.ts';
import { type Score, score, scoreByName } from '../triton-models/evaluation/scores.ts';

/** Below this part of the rendered truth the detector's word about videos means nothing. */
const leastTrust = 0.98;
const columns = [...traits, 'all'] as const;

/** The figures of an evaluation. */
export interface EvaluationReport {
  /** By what was looked at: videos or drawn truth, of one thing or of two; only those that there are. */
  scores: { name: string; score: Score }[];
  motions: ReturnType<typeof scoreByName>;
  shapes: ReturnType<typeof scoreByName>;
  /** What the detector does not see well enough in drawn truth to be trusted. */
  warnings: string[];
}

export function reportOf(videos: readonly Verdict[], truth: readonly Verdict[]): EvaluationReport {
  const ofCount = (verdicts: readonly Verdict[], count: number) =>
    score(verdicts.filter(({ scene }) => scene.things.length === count));
  const truths = [
    { name: 'detector on drawn truth, one thing', score: ofCount(truth, 1) },
    { name: 'detector on drawn truth, two things', score: ofCount(truth, 2) },
  ].filter(({ score }) => score.clips > 0);
  const scores = [
    { name: 'videos of one thing', score: ofCount(videos, 1) },
    { name: 'videos of two things', score: ofCount(videos, 2) },
  ].filter(({ score }) => score.clips > 0);
  return {
    scores: [...scores, ...truths],
    motions: scoreByName(videos, 'motion'),
    shapes: scoreByName(videos, 'shape'),
    warnings: truths.flatMap(({ name, score: { clips, right } }) =>
      columns
        .filter((column) => right[column] < leastTrust * clips)
        .map(
          (column) =>
            `${name}: only ${percent(right[column], clips)} of ${column} right, below ${100 * leastTrust} %: the videos' figures mean nothing`,
        ),
    ),
  };
}

/** The report for people. */
export function formatReport({ scores, motions, shapes }: EvaluationReport): string {
  const rows = scores.map(({ name, score: { clips, right } }) => [
    name,
    String(clips),
    ...columns.map((column) => percent(right[column], clips)),
  ]);
  const table = formatTable(['right in', 'clips', ...columns], rows);
  return `${table}\nmotions: ${formatNames(motions)}\nshapes: ${formatNames(shapes)}\n`;
}

function formatNames(scores: EvaluationReport['motions']): string {
  return Object.entries(scores)
    .map(([name, { things, right }]) => `${name} ${right}/${things}`)
    .join(', ');
}

function percent(part: number, whole: number): string {
  return `${((100 * part) / whole).toFixed(1)} %`;
}
