import { join } from 'node:path';
import { expect, test } from '@jest/globals';
import { packageRoot } from '../../services/kit/package-root.ts';
import { readSafetensors, readTensorBytes } from '../checkpoints/safetensors.ts';
import { comparePictures, type Likeness } from './picture-metrics.ts';

const [videos, frames, height, width] = [3, 4, 36, 44] as const;

test("figures are numpy's and scikit-image's", async () => {
  const file = await readSafetensors(
    join(packageRoot, 'test', 'fixtures', 'goldens', 'metrics-pictures', 'io.safetensors'),
  );
  const read = async (name: string) => (await readTensorBytes(file, name)).slice().buffer;
  const a = new BigInt64Array(await read('a'));
  const b = new BigInt64Array(await read('b'));
  for (const name of ['mse', 'psnr', 'ssim'] satisfies (keyof Likeness)[]) {
    const expected = new Float32Array(await read(name));
    for (let frame = 0; frame < videos * frames; frame++) {
      const likeness = comparePictures(pictureOf(a, frame), pictureOf(b, frame), width, height);
      expect(Math.abs(likeness[name] / expected[frame]! - 1)).toBeLessThan(1e-6);
    }
  }
});

test('equal pictures', () => {
  const picture = Uint8Array.from({ length: 3 * 16 * 12 }, (_, i) => (i * 37) % 256);
  const { mse, psnr, ssim } = comparePictures(picture, picture, 16, 12);
  expect({ mse, psnr }).toEqual({ mse: 0, psnr: Number.POSITIVE_INFINITY });
  expect(ssim).toBeCloseTo(1, 12);
});

/** uint8 [height, width, 3] of a frame of [video, frame, channel, height, width]. */
function pictureOf(values: BigInt64Array, frame: number): Uint8Array {
  const pixels = width * height;
  return Uint8Array.from({ length: 3 * pixels }, (_, i) =>
    Number(values[frame * 3 * pixels + (i % 3) * pixels + Math.floor(i / 3)]),
  );
}
