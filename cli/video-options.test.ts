import { expect, test } from '@jest/globals';
import { Command } from 'commander';
import { Status } from 'nice-grpc-common';
import { FusionError, invalidField } from '../services/kit/errors.ts';
import { byFlagName, choiceFlag, toNewVideo } from './video-options.ts';

const options = { output: 'fox.mp4', preset: 'nano' };

test('`--seed -1` leaves the seed to the gateway, as over HTTP', () => {
  expect(toNewVideo('a fox', { ...options, seed: '7' }).seed).toBe(7n);
  expect(toNewVideo('a fox', { ...options, seed: '-1' }).seed).toBeUndefined();
  expect(() => toNewVideo('a fox', { ...options, seed: '-2' })).toThrow(
    /^`--seed` must be a whole number from 0 to .*, or -1 for a random one \(got "-2"\)$/,
  );
});

test('`--priority` is a whole number', () => {
  expect(toNewVideo('a fox', { ...options, priority: '-5' }).priority).toBe(-5);
  expect(() => toNewVideo('a fox', { ...options, priority: 'high' })).toThrow(
    /^`--priority` must be a whole number from -100 to 100 \(got "high"\)$/,
  );
});

test.each([
  ['width', 'The width of `--size` must be 8 (got 9)'],
  ['frame_rate', '`--fps` must be 8 (got 9)'],
  ['interpolation.steps', '`--interpolation-steps` must be 8 (got 9)'],
  ['priority', '`--priority` must be 8 (got 9)'],
  ['prompt', '`prompt` must be 8 (got 9)'],
])('an error about `%s` names the flag', (field, message) => {
  expect(byFlagName(invalidField(field, 9, '8'))).toMatchObject({ code: Status.INVALID_ARGUMENT, message });
});

test('an error without a field stays as it is', () => {
  const error = new FusionError(Status.UNAVAILABLE, 'gone');
  expect(byFlagName(error)).toBe(error);
});

test('a flag with a list of values names them', () => {
  const command = new Command().addOption(choiceFlag('--fps <rate>', 'frames', ['low', 'high']));
  expect(command.helpInformation()).toContain('choices: "low", "high"');
  expect(() => command.parse(['--fps', 'fast'], { from: 'user' })).toThrow(
    '`--fps` must be one of low, high (got "fast")',
  );
});
