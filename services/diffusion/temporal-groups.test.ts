import { describe, expect, test } from '@jest/globals';
import { addBlend, interleave, writeGroupInputs } from './temporal-groups.ts';
import { goldenTensors } from './testing/goldens.ts';

describe('interleave', () => {
  test.each([
    ['sampler-interpolation-medium', 17],
    ['sampler-interpolation-high', 33],
  ])('%s: %i frames as published', async (name, frames) => {
    const golden = await goldenTensors(name);
    const expected = golden.get('reshaped_video')!;
    const frameSize = 4 * 8 * 8;
    const video = interleave(golden.get('base_frames')!.data, golden.get('final_latents')!.data, frameSize);
    expect(expected.shape).toEqual([frames, 4, 8, 8]);
    expect(video).toEqual(expected.data);
  });
});

describe('writeGroupInputs', () => {
  const frameSize = 2;
  const frames = Float32Array.of(10, 11, 20, 21, 30, 31);
  const noisy = Float32Array.from({ length: 12 }, (_, i) => i + 1);

  test('puts each group between its two frames', () => {
    const output = new Float32Array(20);
    writeGroupInputs(noisy, frames, frameSize, output);
    expect([...output]).toEqual([10, 11, 1, 2, 3, 4, 5, 6, 20, 21, 20, 21, 7, 8, 9, 10, 11, 12, 30, 31]);
  });

  test('leaves zeros in place of the frames in the unconditional half', () => {
    const output = new Float32Array(20);
    writeGroupInputs(noisy, undefined, frameSize, output);
    expect([...output]).toEqual([0, 0, 1, 2, 3, 4, 5, 6, 0, 0, 0, 0, 7, 8, 9, 10, 11, 12, 0, 0]);
  });
});

test('addBlend adds a quarter, a half and three quarters of the way between the two frames', () => {
  const groups = new Float32Array(12).fill(1);
  addBlend(groups, Float32Array.of(0, 8, 4, 8, 4, 16), 2);
  expect([...groups]).toEqual([2, 9, 3, 9, 4, 9, 5, 11, 5, 13, 5, 15]);
});
