import { expect, test } from '@jest/globals';
import { parseDeadline } from './deadline.ts';

const now = Date.parse('2030-01-31T12:00:00Z');

test.each([
  ['90s', '2030-01-31T12:01:30.000Z'],
  ['1.5h', '2030-01-31T13:30:00.000Z'],
  ['2d', '2030-02-02T12:00:00.000Z'],
  ['2030-01-31T14:00:00+02:00', '2030-01-31T12:00:00.000Z'],
  ['2030-01-31T14:00Z', '2030-01-31T14:00:00.000Z'],
])('%s', (text, expected) => {
  expect(parseDeadline(text, now).toISOString()).toBe(expected);
});

test.each(['', '10', '-5m', '5 m', 'tomorrow', '2030-01-31T12:00:00', '2030-13-31T12:00:00Z', '1e3s'])(
  '"%s" is refused',
  (text) => {
    expect(() => parseDeadline(text, now)).toThrow(/^`--deadline` must be a duration such as 90s, 10m or 2h/);
  },
);
