/** A picture, uint8 [height, width, 4]: red, green, blue, opacity. */
export interface RgbaPicture {
  data: Uint8Array;
  /** Pixels. */
  width: number;
  height: number;
}
