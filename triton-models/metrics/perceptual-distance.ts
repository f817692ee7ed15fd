import { type Tensor, tensor } from '../../services/pipeline/tensor.ts';
import type { PerceptualDistance, PicturePair } from './compare-clips.ts';
import type { RunModel } from './run-model.ts';

/** Shortest side of a picture that LPIPS takes, pixels: AlexNet pools what is smaller to nothing. */
export const minLpipsSide = 32;

/** LPIPS by a model of `lpipsInterface`. */
export function perceptualDistance(model: string, run: RunModel): PerceptualDistance {
  return {
    batchSize: 8,
    async measure(pairs, width, height) {
      const inputs = {
        reference: toPlanes(pairs, 'reference', width, height),
        candidate: toPlanes(pairs, 'candidate', width, height),
      };
      const { distance } = await run(model, inputs);
      return Array.from(distance!.data as Float32Array);
    },
  };
}

/** Colours in [−1, 1], `[pairs, 3, height, width]`. */
function toPlanes(
  pairs: readonly PicturePair[],
  which: keyof PicturePair,
  width: number,
  height: number,
): Tensor<'float32'> {
  const pixels = width * height;
  const planes = new Float32Array(pairs.length * 3 * pixels);
  for (const [index, pair] of pairs.entries()) {
    const picture = pair[which];
    for (let i = 0; i < picture.length; i++) {
      planes[(index * 3 + (i % 3)) * pixels + Math.floor(i / 3)] = picture[i]! / 127.5 - 1;
    }
  }
  return tensor('float32', [pairs.length, 3, height, width], planes);
}
