/**
 * The background of a keyframe: for each channel the median of its rim.
 *
 * @param keyframe latents [4, h, w]
 * @param shape [keyframes, 4, h, w]
 */
export function backgroundOf(
  keyframe: Float32Array,
  [, channels = 0, height = 0, width = 0]: readonly number[],
): number[] {
  return Array.from({ length: channels }, (_, channel) => {
    const plane = keyframe.subarray(channel * height * width, (channel + 1) * height * width);
    const rim = plane.filter((_, at) => isEnd(at % width, width) || isEnd(Math.floor(at / width), height)).sort();
    return rim[rim.length >> 1]!;
  });
}

/** The latents [channels, h, w] with a number added to each channel. */
export function shifted(latents: Float32Array, by: readonly number[]): Float32Array {
  const length = latents.length / by.length;
  return latents.map((value, index) => value + by[Math.floor(index / length)]!);
}

/** Brings the background of all keyframes to that of the first. @param keyframes latents of this shape, [keyframes, 4, h, w] */
export function withOneBackground(keyframes: Float32Array, shape: readonly number[]): Float32Array<ArrayBuffer> {
  const [frames = 0] = shape;
  const length = keyframes.length / frames;
  const even = keyframes.slice();
  const first = backgroundOf(keyframes.subarray(0, length), shape);
  for (let frame = 1; frame < frames; frame++) {
    const keyframe = keyframes.subarray(frame * length, (frame + 1) * length);
    const difference = backgroundOf(keyframe, shape).map((value, channel) => first[channel]! - value);
    even.set(shifted(keyframe, difference), frame * length);
  }
  return even;
}

function isEnd(position: number, size: number): boolean {
  return position === 0 || position === size - 1;
}
