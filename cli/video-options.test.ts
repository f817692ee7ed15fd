import { expect, test } from '@jest/globals';
import { toNewVideo } from './video-options.ts';

const options = { output: 'fox.mp4', preset: 'nano' };

test('`--seed -1` leaves the seed to the gateway, as over HTTP', () => {
  expect(toNewVideo('a fox', { ...options, seed: '7' }).seed).toBe(7n);
  expect(toNewVideo('a fox', { ...options, seed: '-1' }).seed).toBeUndefined();
  expect(() => toNewVideo('a fox', { ...options, seed: '-2' })).toThrow('`--seed` must be a whole number from 0 to');
});
