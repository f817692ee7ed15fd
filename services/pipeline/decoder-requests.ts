import type { Preset } from './preset.ts';

/** A range of consecutive frames decoded by one inference request. */
export interface DecoderRequest {
  /** First frame (inclusive) and last frame (exclusive). */
  start: number;
  end: number;
  /** Dimensions before `[4, h, w]` in the request's latents: frames, or windows and frames per window. */
  leading: readonly number[];
}

/**
 * The requests that decode a video of `frames` frames, in order. The image decoder takes independent frames, as many
 * per request as the preset allows. The temporal decoder takes windows of equal length; a shorter last one is sent
 * alone.
 */
export function decoderRequests({ decoder }: Preset, frames: number): DecoderRequest[] {
  const { kind, framesPerRequest, framesPerWindow } = decoder;
  if (kind === 'image') {
    return runs(0, frames, framesPerRequest).map(([start, end]) => ({ start, end, leading: [end - start] }));
  }
  const length = windowLength(frames, framesPerWindow);
  const windowsPerRequest = Math.max(1, Math.floor(framesPerRequest / length));
  const inWholeWindows = frames - (frames % length);
  return [
    ...runs(0, inWholeWindows, windowsPerRequest * length).map(([start, end]) => ({
      start,
      end,
      leading: [(end - start) / length, length],
    })),
    ...runs(inWholeWindows, frames, length).map(([start, end]) => ({ start, end, leading: [1, end - start] })),
  ];
}

/** Items of the largest request: frames, or windows of the temporal decoder. */
export function decoderItems({ decoder: { kind, framesPerRequest, framesPerWindow } }: Preset): number {
  return kind === 'image' ? framesPerRequest : Math.max(1, Math.floor(framesPerRequest / framesPerWindow));
}

/**
 * Frames per window. Kandinsky Video 1.1's pipeline cuts a video into ⌊n / framesPerWindow⌋ pieces with PyTorch's
 * `chunk`, which rounds the size up and leaves the remainder to the last piece: 15 frames give three windows of 5, 57
 * give eleven of 5 and one of 2, 225 give 45 of 5.
 */
function windowLength(frames: number, framesPerWindow: number): number {
  // The published code cannot decode fewer frames than a window; here they form a single window.
  const windows = Math.max(1, Math.floor(frames / framesPerWindow));
  return Math.ceil(frames / windows);
}

function runs(start: number, end: number, length: number): [number, number][] {
  const count = Math.ceil((end - start) / length);
  return Array.from({ length: count }, (_, i) => [start + i * length, Math.min(start + (i + 1) * length, end)]);
}
