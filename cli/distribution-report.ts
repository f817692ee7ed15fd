import { formatCsv } from '../services/kit/csv.ts';
import { formatTable } from '../services/kit/table.ts';
import type { Interval } from '../triton-models/metrics/bootstrap.ts';
import type { DistributionFigures } from '../triton-models/metrics/distribution-figures.ts';
import { type JudgeWeights, withWeights, worse } from '../triton-models/metrics/judge-weights.ts';
import { type Protocol, resizing } from '../triton-models/metrics/protocol.ts';

/** Everything the figures depend on besides the videos and weights. */
export interface DistributionRun {
  protocol: Protocol;
  /** Of the distance. */
  protocolName: string;
  /** Of the Inception Score; absent: no publication's. */
  scoreProtocol?: string;
  network: string;
  /** Network of the Inception Score; absent: the same. */
  classifier?: string;
  seed: bigint;
  resamples: number;
}

/** The result of comparing two sets of videos as distributions. */
export interface DistributionReport {
  figures: DistributionFigures;
  run: DistributionRun;
  /** Number of videos in each set. */
  videos: { real: number; generated: number };
  weights: JudgeWeights;
  /** Of the network of the Inception Score. */
  classifierWeights: JudgeWeights;
  /** Of the preset that made the generated videos, if this command did and they are random. */
  generatedWeights?: 'random';
}

/** Title of the picture. */
export function titleOf({ figures, run, weights, generatedWeights }: DistributionReport): string {
  return `FVD ${withWeights(formatDistance(figures.frechetDistance.value), worse(weights, generatedWeights))}, ${run.network}`;
}

export function toTable(report: DistributionReport): string {
  const { figures, weights, classifierWeights, generatedWeights } = report;
  const { frechetDistance: distance, inceptionScore: score } = figures;
  const rows = [
    [
      'FVD',
      withWeights(formatDistance(distance.value), worse(weights, generatedWeights)),
      formatInterval(distance.interval, formatDistances),
      report.run.protocolName,
    ],
    [
      'Inception Score',
      withWeights(
        `${formatScore(score.mean)} ± ${formatScore(score.deviation)}`,
        worse(classifierWeights, generatedWeights),
      ),
      formatInterval(score.interval, (bounds) => bounds.map(formatScore)),
      report.run.scoreProtocol ?? 'none',
    ],
  ];
  const choices = Object.entries(choicesOf(report)).map(([name, value]) => [name, String(value ?? 'as they are')]);
  return `${formatTable(['figure', 'value', '95 % interval', 'protocol'], rows)}\n${formatTable(['choice', ''], choices)}`;
}

/** One line a figure, each with all choices. */
export function toCsv(report: DistributionReport): string {
  const { frechetDistance: distance, inceptionScore: score } = report.figures;
  const choices = choicesOf(report);
  const row = (name: string, value: number, interval: Interval | undefined, protocol: string) => [
    name,
    value,
    interval?.low ?? '',
    interval?.high ?? '',
    ...Object.values({ ...choices, protocol }).map((choice) => choice ?? ''),
  ];
  const { protocolName, scoreProtocol } = report.run;
  return formatCsv(
    ['figure', 'value', 'low', 'high', ...Object.keys(choices)],
    [
      row('fvd', distance.value, distance.interval, protocolName),
      row('inception_score', score.mean, score.interval, scoreProtocol ?? ''),
    ],
  );
}

/** @param picture path of the picture */
export function toJson(report: DistributionReport, picture: string) {
  const { frechetDistance: fvd, warnings } = report.figures;
  const inceptionScore = { ...report.figures.inceptionScore, protocol: report.run.scoreProtocol ?? null };
  return { fvd, inceptionScore, choices: choicesOf(report), videos: report.videos, warnings, picture };
}

/** Every choice the results depend on, named like the options. */
function choicesOf({ run, weights, classifierWeights, generatedWeights }: DistributionReport) {
  const { protocol, protocolName, network, classifier, seed, resamples } = run;
  return {
    ...{ protocol: protocolName, network, weights },
    ...(generatedWeights && { generatedWeights }),
    ...(classifier !== undefined && { classifier, classifierWeights }),
    ...{ ...protocol, resize: resizing, seed: String(seed), resamples },
  };
}

const formatDistance = (distance: number) => (distance >= 10 ? distance.toFixed(2) : distance.toPrecision(4));
const formatScore = (score: number) => score.toFixed(3);

/** With equal decimal places, as many as the largest needs. */
function formatDistances(distances: readonly number[]): string[] {
  const largest = Math.max(...distances);
  const places = largest > 0 && largest < 10 ? Math.min(20, 3 - Math.floor(Math.log10(largest))) : 2;
  return distances.map((distance) => distance.toFixed(places));
}

function formatInterval(
  interval: Interval | undefined,
  format: (bounds: readonly number[]) => readonly string[],
): string {
  return interval === undefined ? '' : format([interval.low, interval.high]).join(' to ');
}
