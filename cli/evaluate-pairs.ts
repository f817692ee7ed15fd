import { writeFile } from 'node:fs/promises';
import { writeWhole } from '../gateway/media/partial-file.ts';
import { formatTable } from '../services/kit/table.ts';
import { wholeNumber } from '../services/kit/values.ts';
import { type ClipPair, compareClips, meanLikeness, openPair } from '../triton-models/metrics/compare-clips.ts';
import { decibels, drawComparison, type NamedComparison } from '../triton-models/metrics/draw-comparison.ts';
import { findPairs } from '../triton-models/metrics/find-videos.ts';
import { type Likeness, likenessNames } from '../triton-models/metrics/picture-metrics.ts';
import { interruptSignal, reportInterruption } from './interrupt.ts';
import { checkOutput } from './outputs.ts';
import { countDisplay } from './progress.ts';
import { parseFlag } from './video-options.ts';

/** The options of `evaluate pairs` as they stand on the command line. */
export interface EvaluatePairsOptions {
  frames?: string;
  output: string;
  csv?: string;
  json?: boolean;
}

const maxFrames = 1_000_000;

/** Compares videos and reports how similar they are. Throws INVALID_ARGUMENT naming the argument, option or file. */
export async function evaluatePairs(
  reference: string,
  candidate: string,
  { frames, output, csv, json }: EvaluatePairsOptions,
): Promise<void> {
  const firstFrames = frames === undefined ? undefined : parseFlag('--frames', wholeNumber(1, maxFrames), frames);
  await checkOutput(output, ['.png']);
  if (csv !== undefined) {
    await checkOutput(csv, ['.csv'], '--csv');
  }
  // Read all of them before comparing, so that a mismatch is reported at once.
  const pairs: NamedPair[] = [];
  for (const { name, ...files } of await findPairs(reference, candidate)) {
    pairs.push({ name, pair: await openPair(files.reference, files.candidate, firstFrames) });
  }
  const interrupted = interruptSignal();
  try {
    const comparisons = await compareAll(pairs, interrupted);
    const mean = meanLikeness(comparisons.map(({ compared }) => compared.mean));
    await writeWhole(output, (partial) => drawComparison(partial, comparisons));
    if (csv !== undefined) {
      await writeWhole(csv, (partial) => writeFile(partial, toCsv(comparisons)));
    }
    process.stdout.write(
      json ? `${JSON.stringify(toJson(comparisons, mean, output))}\n` : `${toTable(comparisons, mean)}${output}\n`,
    );
  } catch (error) {
    reportInterruption(error, interrupted);
  }
}

interface NamedPair {
  name: string;
  pair: ClipPair;
}

async function compareAll(pairs: readonly NamedPair[], signal: AbortSignal): Promise<NamedComparison[]> {
  const total = pairs.reduce((sum, { pair }) => sum + pair.frames, 0);
  const display = countDisplay(process.stderr, 'frames', total);
  const comparisons: NamedComparison[] = [];
  try {
    for (const { name, pair } of pairs) {
      comparisons.push({ name, compared: await compareClips(pair, () => display.advance(), signal) });
    }
  } finally {
    display.finish();
  }
  return comparisons;
}

function toTable(comparisons: readonly NamedComparison[], mean: Likeness): string {
  const row = (name: string, frames: string, { mse, psnr, ssim }: Likeness) => [
    name,
    frames,
    mse.toExponential(3),
    decibels(psnr),
    ssim.toFixed(4),
  ];
  const rows = comparisons.map(({ name, compared }) => row(name, String(compared.frames.length), compared.mean));
  return formatTable(
    ['video', 'frames', 'MSE', 'PSNR', 'SSIM'],
    comparisons.length > 1 ? [...rows, row('mean', '', mean)] : rows,
  );
}

function toCsv(comparisons: readonly NamedComparison[]): string {
  const lines = comparisons.flatMap(({ name, compared }) =>
    compared.frames.map((likeness, frame) =>
      [quoted(name), frame, ...likenessNames.map((each) => likeness[each])].join(','),
    ),
  );
  return `${['video,frame', ...likenessNames].join(',')}\n${lines.join('\n')}\n`;
}

function quoted(name: string): string {
  return /[",\r\n]/.test(name) ? `"${name.replaceAll('"', '""')}"` : name;
}

/** JSON has no infinity: the PSNR of equal pictures is null. */
function toJson(comparisons: readonly NamedComparison[], mean: Likeness, picture: string) {
  return {
    mean,
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
