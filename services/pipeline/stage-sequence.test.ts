import { expect, test } from '@jest/globals';
import { type FrameRateName, frameCount, frameRateNames, loadPreset, type Preset } from './preset.ts';
import { stageSequence } from './stage-sequence.ts';
import { type StageName, stageNames } from './stages.ts';

const preset = loadPreset('nano');

test('there are frames from the keyframes on, more after each interpolation pass', () => {
  const framesAfter = (rate: FrameRateName, stage: StageName) =>
    stageSequence(preset, rate).flatMap((each) => (each.stage === stage ? each.frames : []));
  expect(framesAfter('high', 'text-encoder')).toEqual([0]);
  expect(framesAfter('high', 'keyframes')).toEqual([15]);
  expect(framesAfter('high', 'interpolation')).toEqual([57, 225]);
  expect(framesAfter('high', 'decoder')).toEqual([225]);
  expect(framesAfter('low', 'interpolation')).toEqual([]);
  expect(framesAfter('low', 'decoder')).toEqual([15]);
});

test('given keyframes need no prompt unless the interpolation reads it, and make shorter videos', () => {
  const framesOf = (of: Preset) => stageSequence(of, 'high', 3).map(({ stage, frames }) => [stage, frames]);
  const rest = [
    ['keyframes', 3],
    ['interpolation', 9],
    ['interpolation', 33],
    ['decoder', 33],
  ];
  expect(framesOf(preset)).toEqual(rest);
  expect(framesOf(loadPreset('kandinsky-video-1.1'))).toEqual([['text-encoder', 0], ...rest]);
  expect(frameCount(preset, 'high', 3)).toBe(33);
});

test('stages are in the order of their table', () => {
  expect([...new Set(stageSequence(preset, 'high').map(({ stage }) => stage))]).toEqual(stageNames);
});

test.each(frameRateNames)('at %s it ends with the frames of the video', (frameRate) => {
  expect(stageSequence(preset, frameRate).at(-1)!.frames).toBe(frameCount(preset, frameRate));
});
