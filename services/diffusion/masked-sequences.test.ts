import { expect, test } from '@jest/globals';
import { missingFrames, sequenceLength, writeSequenceInputs } from './masked-sequences.ts';

const frameSize = 4;
const frames = Float32Array.of(10, 11, 12, 13, 20, 21, 22, 23, 30, 31, 32, 33);
const noisy = Float32Array.from({ length: 24 }, (_, i) => i + 100);

test('a sequence holds noise where frames are missing, and frames and mask where they are given', () => {
  const output = new Float32Array(2 * sequenceLength(frameSize));
  writeSequenceInputs(noisy, frames, frameSize, output);
  expect([...output]).toEqual([
    ...[0, 0, 0, 0, 10, 11, 12, 13, 1],
    ...[100, 101, 102, 103, 0, 0, 0, 0, 0],
    ...[104, 105, 106, 107, 0, 0, 0, 0, 0],
    ...[108, 109, 110, 111, 0, 0, 0, 0, 0],
    ...[0, 0, 0, 0, 20, 21, 22, 23, 1],
    ...[0, 0, 0, 0, 20, 21, 22, 23, 1],
    ...[112, 113, 114, 115, 0, 0, 0, 0, 0],
    ...[116, 117, 118, 119, 0, 0, 0, 0, 0],
    ...[120, 121, 122, 123, 0, 0, 0, 0, 0],
    ...[0, 0, 0, 0, 30, 31, 32, 33, 1],
  ]);
});

test('without text no frame is given', () => {
  const output = new Float32Array(sequenceLength(frameSize));
  writeSequenceInputs(noisy.subarray(0, 12), undefined, frameSize, output);
  expect(output.filter((value) => value !== 0)).toEqual(noisy.subarray(0, 12));
});

test('of a prediction only the missing frames count', () => {
  const prediction = Float32Array.from({ length: 40 }, (_, i) => i);
  expect([...missingFrames(prediction, frameSize)]).toEqual([
    ...[4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15],
    ...[24, 25, 26, 27, 28, 29, 30, 31, 32, 33, 34, 35],
  ]);
});
