/** How much of the picture's things the second keyframe's noise has, and each further one's of the share before. */
const share = 0.25;
const decay = 0.7165;

/**
 * Adds what a picture shows to the noise of the keyframes that follow it: much less to later ones, where things have moved
 * away, and nothing of a plain background.
 *
 * @param noise [keyframes, 4, h, w]
 * @param picture latents [4, h, w]
 * @param shape of the noise
 */
export function hintAtThings(noise: Float32Array, picture: Float32Array, shape: readonly number[]): Float32Array {
  const things = withoutBackground(picture, shape);
  const hinted = noise.slice();
  let part = share;
  for (let start = things.length; start < hinted.length; start += things.length) {
    things.forEach((value, index) => {
      hinted[start + index]! += part * value;
    });
    part *= decay;
  }
  return hinted;
}

/** The latents of a picture, less the median of each channel's rim. */
function withoutBackground(
  picture: Float32Array,
  [, channels = 0, height = 0, width = 0]: readonly number[],
): Float32Array {
  const things = picture.slice();
  for (let channel = 0; channel < channels; channel++) {
    const plane = things.subarray(channel * height * width, (channel + 1) * height * width);
    const rim = plane.filter((_, at) => isEnd(at % width, width) || isEnd(Math.floor(at / width), height)).sort();
    const background = rim[rim.length >> 1]!;
    plane.forEach((value, at) => {
      plane[at] = value - background;
    });
  }
  return things;
}

function isEnd(position: number, size: number): boolean {
  return position === 0 || position === size - 1;
}
