/** The frames of a square video, each uint8 [size, size, 3]. */
export interface Film {
  size: number;
  frames: readonly Uint8Array[];
}
