import sharp from 'sharp';
import { endsOf, leftMargin, plotByFrame, scaled, sheetWidth, stack, svg, text } from './draw-sheet.ts';
import { type JudgeWeights, withWeights } from './judge-weights.ts';
import { type Clip, firstFrames } from './open-clip.ts';

export interface NamedSimilarity {
  name: string;
  prompt: string;
  clip: Clip;
  /** By frame. */
  similarities: number[];
  mean: number;
}

const side = 120;
const gap = 8;
const shownVideos = 3;
const shownFrames = 7;
const rowHeight = side + 40;

/** Draws every video's similarity by frame, then frames of the videos that fit their prompts least and best. PNG. */
export async function drawSimilarity(
  path: string,
  videos: readonly NamedSimilarity[],
  weights: JudgeWeights,
): Promise<void> {
  const sorted = [...videos].sort((a, b) => a.mean - b.mean);
  const { first, last } = endsOf(sorted, shownVideos);
  const rows = [
    ...first.map((video) => ({ ...video, kind: 'fits least' })),
    ...last.map((video) => ({ ...video, kind: 'fits best' })),
  ];
  const lines = videos.map(({ similarities }) => similarities);
  const strips = [await plotByFrame(lines, withWeights('CLIPSIM', weights))];
  for (const row of rows) {
    const title = `${row.kind}: ${row.name}, ${withWeights(row.mean.toFixed(4), weights)}: ${row.prompt}`;
    strips.push(await drawFrames(row, title));
  }
  await stack(path, strips);
}

async function drawFrames({ clip, similarities }: NamedSimilarity, title: string): Promise<Buffer> {
  const count = Math.min(shownFrames, similarities.length);
  const wanted = new Set(
    Array.from({ length: count }, (_, i) => Math.round((i * (similarities.length - 1)) / Math.max(1, count - 1))),
  );
  const pictures: { input: Buffer; left: number; top: number }[] = [];
  let frame = 0;
  for await (const picture of firstFrames(clip, similarities.length)) {
    if (wanted.has(frame++)) {
      const left = leftMargin + pictures.length * (side + gap);
      pictures.push({ input: await scaled(picture, clip, side), left, top: 30 });
    }
  }
  return sharp({ create: { width: sheetWidth, height: rowHeight, channels: 3, background: '#ffffff' } })
    .composite([{ input: Buffer.from(svg(rowHeight, text(leftMargin, 20, title))), left: 0, top: 0 }, ...pictures])
    .png()
    .toBuffer();
}
