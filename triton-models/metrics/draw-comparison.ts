import sharp from 'sharp';
import {
  type ClipPair,
  type ComparedClips,
  type FrameLikeness,
  framePairs,
  type PicturePair,
} from './compare-clips.ts';
import { type JudgeWeights, withWeights } from './judge-weights.ts';

export interface NamedComparison {
  name: string;
  pair: ClipPair;
  compared: ComparedClips;
}

const width = 960;
const plotHeight = 220;
const margin = { left: 64, right: 16, top: 34, bottom: 28 };
const pictureSide = 224;
const rowHeight = pictureSide + 40;
const gap = 12;
/** Pairs shown of each kind. */
const shownPairs = 3;
/** A difference of this part of the range is drawn as the whole of it. */
const differenceGain = 4;
const ink = '#1f2328';

/**
 * Draws PSNR and SSIM of every video by frame, and LPIPS where it was computed, then the least and the most alike frames:
 * reference, candidate, and the difference four times as strong. PNG.
 */
export async function drawComparison(
  path: string,
  comparisons: readonly NamedComparison[],
  weights: JudgeWeights | undefined,
): Promise<void> {
  const byPsnr = (a: ShownPair, b: ShownPair) => psnrOf(a) - psnrOf(b) || 0;
  const pairsOf = (kind: 'worst' | 'best') => comparisons.map((each) => ({ ...each, frame: each.compared[kind] }));
  const worst = pairsOf('worst').sort(byPsnr).slice(0, shownPairs);
  const best = pairsOf('best').sort(byPsnr).reverse().slice(0, shownPairs);
  const rows = [
    ...worst.map((row) => ({ ...row, kind: 'least alike' })),
    ...best.map((row) => ({ ...row, kind: 'most alike' })),
  ];
  const plots = [
    plotOf('psnr', 'PSNR, dB', comparisons),
    plotOf('ssim', 'SSIM', comparisons),
    ...(weights ? [plotOf('lpips', withWeights('LPIPS', weights), comparisons)] : []),
  ];
  const height = plots.length * plotHeight + rows.length * rowHeight;
  const layers: { input: Buffer; left: number; top: number }[] = plots.map((plot, index) => ({
    input: Buffer.from(plot),
    left: 0,
    top: index * plotHeight,
  }));
  for (const [index, row] of rows.entries()) {
    layers.push({ input: await drawPair(row), left: 0, top: plots.length * plotHeight + index * rowHeight });
  }
  await sharp({ create: { width, height, channels: 3, background: '#ffffff' } })
    .composite(layers)
    .png()
    .toFile(path);
}

interface ShownPair extends NamedComparison {
  frame: number;
}

const psnrOf = ({ compared, frame }: ShownPair) => compared.frames[frame]!.psnr;

async function drawPair({ name, compared, pair, frame, kind }: ShownPair & { kind: string }): Promise<Buffer> {
  const likeness = compared.frames[frame]!;
  const { reference, candidate } = await picturesAt(pair, frame);
  const difference = reference.map((value, i) => Math.min(255, Math.abs(value - candidate[i]!) * differenceGain));
  const pictures = await Promise.all(
    [reference, candidate, difference].map(async (picture, column) => ({
      input: await scaled(picture, compared),
      left: margin.left + column * (pictureSide + gap),
      top: 30,
    })),
  );
  const title = `${kind}: ${name}, frame ${frame}: PSNR ${decibels(likeness.psnr)}, SSIM ${likeness.ssim.toFixed(4)} (reference, candidate, difference ×${differenceGain})`;
  return sharp({ create: { width, height: rowHeight, channels: 3, background: '#ffffff' } })
    .composite([{ input: Buffer.from(svg(rowHeight, text(margin.left, 20, title))), left: 0, top: 0 }, ...pictures])
    .png()
    .toBuffer();
}

async function picturesAt(pair: ClipPair, frame: number): Promise<PicturePair> {
  let last: PicturePair | undefined;
  for await (const pictures of framePairs({ ...pair, frames: frame + 1 })) {
    last = pictures;
  }
  return last!;
}

function scaled(picture: Uint8Array, { width, height }: ComparedClips): Promise<Buffer> {
  const kernel = Math.max(width, height) < pictureSide ? 'nearest' : 'lanczos3';
  return sharp(picture, { raw: { width, height, channels: 3 } })
    .resize(pictureSide, pictureSide, { kernel, fit: 'contain', background: '#ffffff' })
    .png()
    .toBuffer();
}

/** A thin line for each video and a thick one for their mean; equal frames stand at the top. */
function plotOf(name: keyof FrameLikeness, label: string, comparisons: readonly NamedComparison[]): string {
  const lines = comparisons.map(({ compared }) => compared.frames.map((likeness) => likeness[name]!));
  const finite = lines.flat().filter(Number.isFinite);
  const [low, high] = rangeOf(finite);
  const frames = Math.max(...lines.map(({ length }) => length));
  const x = (frame: number) => margin.left + (frame / Math.max(1, frames - 1)) * (width - margin.left - margin.right);
  const y = (value: number) =>
    margin.top + (1 - (Math.min(value, high) - low) / (high - low)) * (plotHeight - margin.top - margin.bottom);
  const path = (values: readonly number[], style: string) =>
    `<polyline points="${values.map((value, frame) => `${x(frame).toFixed(1)},${y(value).toFixed(1)}`).join(' ')}" fill="none" ${style}/>`;
  const means = Array.from({ length: frames }, (_, frame) => {
    const values = lines.flatMap((line) => line.slice(frame, frame + 1)).map((value) => Math.min(value, high));
    return values.reduce((sum, value) => sum + value, 0) / values.length;
  });
  const guides = [low, (low + high) / 2, high].map(
    (value) =>
      `<line x1="${margin.left}" x2="${width - margin.right}" y1="${y(value)}" y2="${y(value)}" stroke="#d0d7de"/>${text(margin.left - 8, y(value) + 4, value.toPrecision(3), 'end')}`,
  );
  return svg(
    plotHeight,
    text(margin.left, 20, `${label} by frame: ${lines.length} ${lines.length === 1 ? 'video' : 'videos, thick: mean'}`),
    ...guides,
    ...lines.map((line) => path(line, 'stroke="#0969da" stroke-opacity="0.35"')),
    path(means, 'stroke="#0969da" stroke-width="2.5"'),
    text(margin.left, plotHeight - 8, '0'),
    text(width - margin.right, plotHeight - 8, String(frames - 1), 'end'),
  );
}

function rangeOf(values: readonly number[]): [low: number, high: number] {
  const low = values.reduce((least, value) => Math.min(least, value), Number.POSITIVE_INFINITY);
  const high = values.reduce((most, value) => Math.max(most, value), Number.NEGATIVE_INFINITY);
  return low < high ? [low, high] : values.length > 0 ? [low - 1, high + 1] : [0, 1];
}

export function decibels(psnr: number): string {
  return psnr === Number.POSITIVE_INFINITY ? 'equal' : `${psnr.toFixed(2)} dB`;
}

function text(x: number, y: number, content: string, anchor = 'start'): string {
  const escaped = content.replaceAll('&', '&amp;').replaceAll('<', '&lt;');
  return `<text x="${x}" y="${y}" text-anchor="${anchor}" font-family="sans-serif" font-size="12" fill="${ink}">${escaped}</text>`;
}

function svg(height: number, ...content: string[]): string {
  return `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}">${content.join('')}</svg>`;
}
