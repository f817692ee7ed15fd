import sharp from 'sharp';
import {
  type ClipPair,
  type ComparedClips,
  type FrameLikeness,
  framePairs,
  type PicturePair,
} from './compare-clips.ts';
import { leftMargin, plotByFrame, scaled, sheetWidth, stack, svg, text } from './draw-sheet.ts';
import { type JudgeWeights, withWeights } from './judge-weights.ts';

export interface NamedComparison {
  name: string;
  pair: ClipPair;
  compared: ComparedClips;
}

const pictureSide = 224;
const rowHeight = pictureSide + 40;
const gap = 12;
/** Pairs shown of each kind. */
const shownPairs = 3;
/** A difference of this part of the range is drawn as the whole of it. */
const differenceGain = 4;

/**
 * Draws PSNR and SSIM of every video by frame, and LPIPS where it was computed, then the least and the most alike frames:
 * reference, candidate, and the difference four times as strong. PNG.
 *
 * @param weights of LPIPS; undefined: it was not computed
 * @param makerWeights weights of the model that made the candidates
 */
export async function drawComparison(
  path: string,
  comparisons: readonly NamedComparison[],
  weights: JudgeWeights | undefined,
  makerWeights: JudgeWeights = 'trained',
): Promise<void> {
  const byPsnr = (a: ShownPair, b: ShownPair) => psnrOf(a) - psnrOf(b) || 0;
  const pairsOf = (kind: 'worst' | 'best') => comparisons.map((each) => ({ ...each, frame: each.compared[kind] }));
  const worst = pairsOf('worst').sort(byPsnr).slice(0, shownPairs);
  const best = pairsOf('best').sort(byPsnr).reverse().slice(0, shownPairs);
  const rows = [
    ...worst.map((row) => ({ ...row, kind: 'least alike' })),
    ...best.map((row) => ({ ...row, kind: 'most alike' })),
  ];
  const linesOf = (name: keyof FrameLikeness) =>
    comparisons.map(({ compared }) => compared.frames.map((likeness) => likeness[name]!));
  const strips = [
    await plotByFrame(linesOf('psnr'), withWeights('PSNR, dB', makerWeights)),
    await plotByFrame(linesOf('ssim'), withWeights('SSIM', makerWeights)),
    ...(weights ? [await plotByFrame(linesOf('lpips'), withWeights('LPIPS', weights))] : []),
  ];
  for (const row of rows) {
    strips.push(await drawPair(row, makerWeights));
  }
  await stack(path, strips);
}
interface ShownPair extends NamedComparison {
  frame: number;
}

const psnrOf = ({ compared, frame }: ShownPair) => compared.frames[frame]!.psnr;

async function drawPair(
  { name, compared, pair, frame, kind }: ShownPair & { kind: string },
  makerWeights: JudgeWeights,
): Promise<Buffer> {
  const likeness = compared.frames[frame]!;
  const { reference, candidate } = await picturesAt(pair, frame);
  const difference = reference.map((value, i) => Math.min(255, Math.abs(value - candidate[i]!) * differenceGain));
  const pictures = await Promise.all(
    [reference, candidate, difference].map(async (picture, column) => ({
      input: await scaled(picture, compared, pictureSide),
      left: leftMargin + column * (pictureSide + gap),
      top: 30,
    })),
  );
  const figures = withWeights(`PSNR ${decibels(likeness.psnr)}, SSIM ${likeness.ssim.toFixed(4)}`, makerWeights);
  const title = `${kind}: ${name}, frame ${frame}: ${figures} (reference, candidate, difference ×${differenceGain})`;
  return sharp({ create: { width: sheetWidth, height: rowHeight, channels: 3, background: '#ffffff' } })
    .composite([{ input: Buffer.from(svg(rowHeight, text(leftMargin, 20, title))), left: 0, top: 0 }, ...pictures])
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

export function decibels(psnr: number): string {
  return psnr === Number.POSITIVE_INFINITY ? 'equal' : `${psnr.toFixed(2)} dB`;
}
