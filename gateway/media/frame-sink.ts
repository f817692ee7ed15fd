/** Size, rate and number of a video's frames. */
export interface FrameFormat {
  /** Pixels, even. */
  width: number;
  height: number;
  /** Playback rate, in frames per second. */
  playbackRate: number;
  /** Number of frames. */
  frames: number;
}

/** Writes frames to files as they arrive. */
export interface FrameSink {
  /** Takes the next frame, uint8 [height, width, 3] RGB; resolves when the next one may be written. */
  write(frame: Uint8Array): Promise<void>;
  /** Completes the file and gives it its final name. */
  finish(): Promise<void>;
  /** Removes the unfinished file, at any point before {@link finish}. */
  abort(): Promise<void>;
}
