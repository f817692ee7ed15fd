import { fetchFile } from '../api/files.ts';
import { dimensions } from '../video-facts.ts';
import type { Video } from '../wire.ts';

/** Equally large pictures of keyframes in rows: a storyboard or a preview. */
export interface FrameGrid {
  picture: ImageBitmap;
  /** Which keyframe each picture shows, in reading order. */
  keyframes: number[];
}

/**
 * Fetches the pictures of a job with this many `keyframes`: the storyboard has one of each, the preview fewer, evenly
 * spaced.
 */
export async function fetchGrid(
  { id, size }: Video,
  variant: 'storyboard' | 'preview',
  keyframes: number,
  signal: AbortSignal,
): Promise<FrameGrid> {
  const picture = await createImageBitmap(await fetchFile(id, variant, signal));
  const [width, height] = dimensions({ size });
  const places = Math.round(picture.width / width) * Math.round(picture.height / height);
  // The last row may not be full.
  const count = Math.min(places, keyframes);
  return { picture, keyframes: Array.from({ length: count }, (_, index) => Math.floor((index * keyframes) / count)) };
}

/** Draws the picture at `index` of a grid over the whole canvas, which has a frame's size. */
export function drawFrame(canvas: HTMLCanvasElement, grid: FrameGrid, index: number): void {
  const { width, height } = canvas;
  const columns = Math.max(1, Math.round(grid.picture.width / width));
  const left = (index % columns) * width;
  const top = Math.floor(index / columns) * height;
  canvas.getContext('2d')!.drawImage(grid.picture, left, top, width, height, 0, 0, width, height);
}

/**
 * Draws the placeholder for a picture: grain, one value for each latent (8×8 pixels), fainter the fewer steps are left.
 * It is decoration, not the model's noise. The same `index` and `tick` give the same grain.
 */
export function drawGrain(canvas: HTMLCanvasElement, index: number, tick: number, strength: number): void {
  const context = canvas.getContext('2d')!;
  const { width, height } = canvas;
  context.clearRect(0, 0, width, height);
  let state = (index * 0x9e3779b1 + tick * 0x85ebca6b + 1) >>> 0;
  for (let y = 0; y < height; y += 8) {
    for (let x = 0; x < width; x += 8) {
      // xorshift32
      state ^= state << 13;
      state ^= state >>> 17;
      state = (state ^ (state << 5)) >>> 0;
      const grey = 128 + ((state / 2 ** 32) * 2 - 1) * 90;
      context.fillStyle = `rgb(${grey} ${grey} ${grey} / ${0.15 + 0.6 * strength})`;
      context.fillRect(x, y, 8, 8);
    }
  }
}
