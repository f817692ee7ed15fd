import { expect, test } from '@jest/globals';
import { loadPreset } from './preset.ts';
import { promptsOfThings } from './things.ts';

const nano = loadPreset('nano');

test.each([
  [
    'a small red circle moving up and left and a blue star bouncing on a navy background',
    ['a small red circle moving up and left on a navy background', 'a blue star bouncing on a navy background'],
  ],
  [
    'On a dark blue background a red ring, and the green box jumps up and down.',
    ['a red ring On a dark blue background', 'the green box jumps up and down On a dark blue background'],
  ],
  [
    'a red ring growing and one star and the background is light purple',
    ['a red ring growing and the background is light purple', 'one star and the background is light purple'],
  ],
  ['a red ring growing and a star falling on black', ['a red ring growing on black', 'a star falling on black']],
])('%s', (prompt, things) => {
  expect(promptsOfThings(prompt, nano)).toEqual(things);
});

test.each([
  ['a single thing', 'a red circle moving up and left on a navy background'],
  ['more things than two', 'a ring growing and a star falling and a box jumping on a navy background'],
  ['no background', 'a ring growing and a star falling'],
  ['nothing before the first "and"', 'and a ring growing on a navy background'],
  ['a very long prompt', `a ring growing and a star falling on a navy background${' '.repeat(1000)}`],
])('%s: the prompt is not taken apart', (_, prompt) => {
  expect(promptsOfThings(prompt, nano)).toEqual([]);
});

test('other presets take no prompt apart', () => {
  const prompt = 'a ring growing and a star falling on a navy background';
  expect(promptsOfThings(prompt, loadPreset('kandinsky-video-1.0'))).toEqual([]);
});
