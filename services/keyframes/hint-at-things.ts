import { backgroundOf, shifted } from './background.ts';

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
  const things = shifted(
    picture,
    backgroundOf(picture, shape).map((value) => -value),
  );
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
