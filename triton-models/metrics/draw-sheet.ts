import sharp from 'sharp';
import { plainText } from '../../services/kit/plain-text.ts';

/** Pixels. */
export const sheetWidth = 960;
const plotHeight = 220;
const margin = { left: 64, right: 16, top: 34, bottom: 28 };
export const leftMargin = margin.left;
const ink = '#1f2328';

/** Writes pictures of the sheet's width, one below the other, as a PNG file. */
export async function stack(path: string, strips: readonly Buffer[]): Promise<void> {
  const layers: { input: Buffer; left: number; top: number }[] = [];
  let height = 0;
  for (const input of strips) {
    layers.push({ input, left: 0, top: height });
    height += (await sharp(input).metadata()).height;
  }
  await sharp({ create: { width: sheetWidth, height, channels: 3, background: '#ffffff' } })
    .composite(layers)
    .png()
    .toFile(path);
}

/** The first and the last of sorted items, the last one first; at most `count` of each, and none twice. */
export function endsOf<T>(sorted: readonly T[], count: number): { first: T[]; last: T[] } {
  const half = sorted.length / 2;
  const last = Math.min(count, Math.floor(half));
  return {
    first: sorted.slice(0, Math.min(count, Math.ceil(half))),
    last: sorted.slice(sorted.length - last).reverse(),
  };
}

/** A thin line for each video and a thick one for their mean, PNG; infinite values stand at the top. */
export function plotByFrame(lines: readonly (readonly number[])[], label: string): Promise<Buffer> {
  const finite = lines.flat().filter(Number.isFinite);
  const [low, high] = rangeOf(finite);
  const frames = Math.max(...lines.map(({ length }) => length));
  const x = (frame: number) =>
    margin.left + (frame / Math.max(1, frames - 1)) * (sheetWidth - margin.left - margin.right);
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
      `<line x1="${margin.left}" x2="${sheetWidth - margin.right}" y1="${y(value)}" y2="${y(value)}" stroke="#d0d7de"/>${text(margin.left - 8, y(value) + 4, value.toPrecision(3), 'end')}`,
  );
  const drawing = svg(
    plotHeight,
    text(margin.left, 20, `${label} by frame: ${lines.length} ${lines.length === 1 ? 'video' : 'videos, thick: mean'}`),
    ...guides,
    ...lines.map((line) => path(line, 'stroke="#0969da" stroke-opacity="0.35"')),
    path(means, 'stroke="#0969da" stroke-width="2.5"'),
    text(margin.left, plotHeight - 8, '0'),
    text(sheetWidth - margin.right, plotHeight - 8, String(frames - 1), 'end'),
  );
  return sharp(Buffer.from(drawing)).flatten({ background: '#ffffff' }).png().toBuffer();
}

function rangeOf(values: readonly number[]): [low: number, high: number] {
  const low = values.reduce((min, value) => Math.min(min, value), Number.POSITIVE_INFINITY);
  const high = values.reduce((max, value) => Math.max(max, value), Number.NEGATIVE_INFINITY);
  return low < high ? [low, high] : values.length > 0 ? [low - 1, high + 1] : [0, 1];
}

/** A picture, uint8 [height, width, 3], in a square of this side, PNG. */
export function scaled(
  picture: Uint8Array,
  { width, height }: { width: number; height: number },
  side: number,
): Promise<Buffer> {
  const kernel = Math.max(width, height) < side ? 'nearest' : 'lanczos3';
  return sharp(picture, { raw: { width, height, channels: 3 } })
    .resize(side, side, { kernel, fit: 'contain', background: '#ffffff' })
    .png()
    .toBuffer();
}

export function text(x: number, y: number, content: string, anchor = 'start'): string {
  // XML has no control characters, and neither of these two.
  const plain = plainText(content).replace(/[\uFFFE\uFFFF]/g, '\uFFFD');
  const escaped = plain.replaceAll('&', '&amp;').replaceAll('<', '&lt;');
  return `<text x="${x}" y="${y}" text-anchor="${anchor}" font-family="sans-serif" font-size="12" fill="${ink}">${escaped}</text>`;
}

/** A drawing of the sheet's width. */
export function svg(height: number, ...content: string[]): string {
  return `<svg xmlns="http://www.w3.org/2000/svg" width="${sheetWidth}" height="${height}">${content.join('')}</svg>`;
}
