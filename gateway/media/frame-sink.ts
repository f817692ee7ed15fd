/** Shape and speed of a video's frames. */
export interface FrameFormat {
  /** Pixels, even. */
  width: number;
  height: number;
  /** Frames a second, at which the video is played. */
  playbackRate: number;
  /** How many frames will come. */
  frames: number;
}

/** Turns frames into files as they come. */
export interface FrameSink {
  /** Takes the next frame, uint8 [height, width, 3] (red, green, blue); resolves when there is room for another one. */
  write(frame: Uint8Array): Promise<void>;
  /** Completes what was written; only now it appears under its final name. */
  finish(): Promise<void>;
  /** Removes what was written so far, at any point before {@link finish}. */
  abort(): Promise<void>;
}
