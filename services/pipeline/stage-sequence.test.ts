import { expect, test } from '@jest/globals';
import { frameCount, frameRateNames, loadPreset } from './preset.ts';
import { stageSequence } from './stage-sequence.ts';

const preset = loadPreset('nano');

test('an entry for each stage and interpolation pass, with the frames after it', () => {
  expect(stageSequence(preset, 'low')).toEqual([
    { stage: 'text-encoder', frames: 0 },
    { stage: 'keyframes', frames: 15 },
    { stage: 'decoder', frames: 15 },
  ]);
  expect(stageSequence(preset, 'high').map(({ stage, frames }) => `${stage} ${frames}`)).toEqual([
    'text-encoder 0',
    'keyframes 15',
    'interpolation 57',
    'interpolation 225',
    'decoder 225',
  ]);
});

test.each(frameRateNames)('at %s it ends with the frames of the video', (frameRate) => {
  expect(stageSequence(preset, frameRate).at(-1)!.frames).toBe(frameCount(preset, frameRate));
});
