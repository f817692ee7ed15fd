import { writeFile } from 'node:fs/promises';
import { formatCsv } from '../services/kit/csv.ts';
import { plainText } from '../services/kit/plain-text.ts';
import { formatTable } from '../services/kit/table.ts';
import { choice, wholeNumber } from '../services/kit/values.ts';
import { writeWhole } from '../services/kit/write-whole.ts';
import {
  type ClipPair,
  type ComparedClips,
  compareClips,
  type FrameLikeness,
  meanLikeness,
  type PairLimits,
  type PerceptualDistance,
} from '../triton-models/metrics/compare-clips.ts';
import { decibels, drawComparison, type NamedComparison } from '../triton-models/metrics/draw-comparison.ts';
import { type JudgeWeights, withWeights, worse } from '../triton-models/metrics/judge-weights.ts';
import { fileKey, KeptResults } from '../triton-models/metrics/kept-results.ts';
import { minLpipsSide, perceptualDistance } from '../triton-models/metrics/perceptual-distance.ts';
import { likenessNames } from '../triton-models/metrics/picture-metrics.ts';
import { loadFeatureNetworks } from '../triton-models/sources/feature-networks.ts';
import { reportKept } from './kept-message.ts';
import { checkOutput } from './outputs.ts';
import { countDisplay } from './progress.ts';
import { type JudgeOptions, serveJudges } from './serve-judges.ts';
import { parseFlag } from './video-options.ts';

/** Command-line options of commands that compare videos frame by frame. */
export interface ComparisonOptions extends JudgeOptions {
  frames?: string;
  lpips: string;
  output: string;
  csv?: string;
  json?: boolean;
}

const maxFrames = 1_000_000;
const lpipsNetworks = ['off', 'alex', 'vgg'] as const;

/** The options, checked. */
export interface Comparison {
  options: ComparisonOptions;
  net: (typeof lpipsNetworks)[number];
  limits: PairLimits;
}

/** Throws INVALID_ARGUMENT naming the option. */
export async function parseComparison(options: ComparisonOptions): Promise<Comparison> {
  const { frames, output, csv } = options;
  const net = parseFlag('--lpips', choice(lpipsNetworks), options.lpips);
  await checkOutput(output, ['.png']);
  if (csv !== undefined) {
    await checkOutput(csv, ['.csv'], '--csv');
  }
  const limits = {
    frames: frames === undefined ? undefined : parseFlag('--frames', wholeNumber(1, maxFrames), frames),
    minSide: net === 'off' ? undefined : minLpipsSide,
  };
  return { options, net, limits };
}

/** What made the candidates, if this command did. */
export interface Maker {
  name: 'decoder' | 'candidate';
  weights: JudgeWeights;
  /** Identifies it in kept results. */
  key: string;
  /** For JSON. */
  facts: Record<string, unknown>;
}

/** Compares videos frame by frame and reports how similar they are. */
export async function reportPairs(
  pairs: readonly NamedPair[],
  { options, net }: Comparison,
  interrupted: AbortSignal,
  maker?: Maker,
): Promise<void> {
  const { output, csv, json } = options;
  const kept = await KeptResults.beside(output);
  try {
    const { comparisons, weights } = await withDistance(net, options, interrupted, async (distance) => ({
      comparisons: await compareAll(pairs, kept, interrupted, distance, maker?.key),
      weights: distance && worse(distance.weights, maker?.weights),
    }));
    const mean = meanLikeness(comparisons.map(({ compared }) => compared.mean));
    await writeWhole(output, (partial) => drawComparison(partial, comparisons, weights, maker?.weights));
    if (csv !== undefined) {
      await writeWhole(csv, (partial) => writeFile(partial, toCsv(comparisons, weights, maker)));
    }
    await kept.remove();
    process.stdout.write(
      json
        ? `${JSON.stringify({ ...maker?.facts, ...toJson(comparisons, mean, net, weights, output) })}\n`
        : `${toTable(comparisons, mean, weights, maker)}${output}\n`,
    );
  } catch (error) {
    await reportKept(error, interrupted, kept);
  }
}

export interface NamedPair {
  name: string;
  pair: ClipPair;
}

interface Distance {
  perceptual: PerceptualDistance;
  weights: JudgeWeights;
  /** Identifies the network in kept results. */
  key: string;
}

/** Serves the LPIPS network, if one was chosen, while `use` runs. */
async function withDistance<T>(
  net: (typeof lpipsNetworks)[number],
  options: JudgeOptions,
  signal: AbortSignal,
  use: (distance?: Distance) => Promise<T>,
): Promise<T> {
  if (net === 'off') {
    return use();
  }
  const { run, weights, content, close } = await serveJudges(loadFeatureNetworks(`lpips-${net}`), options, signal);
  try {
    const key = `lpips-${net} ${content}`;
    return await use({ perceptual: perceptualDistance(`lpips_${net}`, run), weights, key });
  } finally {
    await close();
  }
}

async function compareAll(
  pairs: readonly NamedPair[],
  kept: KeptResults,
  signal: AbortSignal,
  distance: Distance | undefined,
  maker: string | undefined,
): Promise<NamedComparison[]> {
  const total = pairs.reduce((sum, { pair }) => sum + pair.frames, 0);
  const display = countDisplay(process.stderr, 'frames', total);
  const comparisons: NamedComparison[] = [];
  try {
    for (const { name, pair } of pairs) {
      const files = await Promise.all([pair.reference, pair.candidate].map(({ path }) => fileKey(path)));
      const key = JSON.stringify([...files, pair.frames, distance?.key, maker]);
      const { value, wasKept } = await kept.get(key, () =>
        compareClips(pair, () => display.advance(), signal, distance?.perceptual),
      );
      if (wasKept) {
        display.skip(pair.frames);
      }
      comparisons.push({ name, pair, compared: wasKept ? withInfinity(value) : value });
    }
  } finally {
    display.finish();
  }
  return comparisons;
}

/** JSON has no infinity, so the PSNR of equal pictures was kept as null. */
function withInfinity(compared: ComparedClips): ComparedClips {
  const revive = (likeness: FrameLikeness) => ({ ...likeness, psnr: likeness.psnr ?? Number.POSITIVE_INFINITY });
  return { ...compared, frames: compared.frames.map(revive), mean: revive(compared.mean) };
}

function toTable(
  comparisons: readonly NamedComparison[],
  mean: FrameLikeness,
  weights: JudgeWeights | undefined,
  maker: Maker | undefined,
): string {
  const row = (name: string, frames: string, { mse, psnr, ssim, lpips }: FrameLikeness) => [
    plainText(name),
    frames,
    ...[mse.toExponential(3), decibels(psnr), ssim.toFixed(4)].map((figure) =>
      withWeights(figure, maker?.weights ?? 'trained'),
    ),
    ...(weights ? [withWeights(lpips!.toFixed(4), weights)] : []),
  ];
  const rows = comparisons.map(({ name, compared }) => row(name, String(compared.frames.length), compared.mean));
  return formatTable(
    ['video', 'frames', 'MSE', 'PSNR', 'SSIM', ...(weights ? ['LPIPS'] : [])],
    comparisons.length > 1 ? [...rows, row('mean', '', mean)] : rows,
  );
}

function toCsv(
  comparisons: readonly NamedComparison[],
  weights: JudgeWeights | undefined,
  maker: Maker | undefined,
): string {
  const rows = comparisons.flatMap(({ name, compared }) =>
    compared.frames.map((likeness, frame) => [
      name,
      frame,
      ...likenessNames.map((each) => likeness[each]),
      ...(weights ? [likeness.lpips!, weights] : []),
      ...(maker ? [maker.weights] : []),
    ]),
  );
  const ofLpips = weights ? ['lpips', 'lpips_weights'] : [];
  return formatCsv(['video', 'frame', ...likenessNames, ...ofLpips, ...(maker ? [`${maker.name}_weights`] : [])], rows);
}

function toJson(
  comparisons: readonly NamedComparison[],
  mean: FrameLikeness,
  net: string,
  weights: JudgeWeights | undefined,
  picture: string,
) {
  return {
    mean,
    ...(weights && { lpips: { network: `lpips-${net}`, weights } }),
    videos: comparisons.map(({ name, compared: { width, height, mean, frames } }) => ({
      name,
      width,
      height,
      mean,
      frames,
    })),
    picture,
  };
}
