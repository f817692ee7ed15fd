import type { Value } from './value.ts';

/** The layout of frames on the first axis of activations: video after video. */
export interface Frames {
  /** Number of videos, an integer tensor of 1 element. */
  videos: Value;
  /** Frames per video. */
  perVideo: number | Value;
  /** videos · perVideo, an integer tensor of 1 element. */
  total: Value;
}

/**
 * Flattens x `[videos, frames, C, h, w]` to `[videos · frames, C, h, w]` and returns it with its layout.
 *
 * @param perVideo frames per video, if the network fixes them
 */
export function foldFrames(x: Value, perVideo?: number): { folded: Value; frames: Frames } {
  const folded = x.reshape(-1, x.size(2), x.sizes(3, 5));
  const videos = x.sizes(0, 1);
  return { folded, frames: { videos, perVideo: perVideo ?? x.sizes(1, 2), total: folded.sizes(0, 1) } };
}

/** The layout of x `[videos · frames, C, h, w]` with a fixed number of frames per video. */
export function framesOf(x: Value, perVideo: number): Frames {
  const total = x.sizes(0, 1);
  return { videos: total.over(x.graph.integers([perVideo])), perVideo, total };
}

/** The video that each frame belongs to: 0 … 0 1 … 1 2 …, integers `[frames]`. */
export function videoOfFrame({ total, perVideo }: Frames): Value {
  const { graph } = total;
  const divisor = typeof perVideo === 'number' ? graph.integers([perVideo]) : perVideo;
  return graph.once('video of frame', () => total.range().over(divisor));
}

/** Repeats rows `[videos, size]` for the frames of each video; returns them unchanged if frames have their own rows. */
export function byFrame(rows: Value, frames?: Frames): Value {
  return frames === undefined ? rows : rows.rows(videoOfFrame(frames));
}
