import { expect, test } from '@jest/globals';
import { z } from 'zod';
import { parseSchema, tryParse } from './schema.ts';

const schema = z.strictObject({
  name: z.string().min(1),
  size: z.int().min(8).max(64).multipleOf(8),
  share: z.number().positive().max(1),
  kind: z.enum(['image', 'video']),
  parts: z.array(z.strictObject({ on: z.boolean() })).min(1),
  skip: z.union([z.literal('none'), z.int()]),
  sha: z.string('a hash').regex(/^[0-9a-f]{4}$/, 'a hash'),
});
const right = { name: 'x', size: 8, share: 1, kind: 'image', parts: [{ on: true }], skip: 'none', sha: 'beef' };

test.each<[object, string]>([
  [{ name: undefined }, '`name` must be text (got nothing)'],
  [{ name: '' }, '`name` must be at least 1 characters (got "")'],
  [{ size: 1.5 }, '`size` must be a whole number (got 1.5)'],
  [{ name: ['a', 1] }, '`name` must be text (got ["a", 1])'],
  [{ name: Array(101).fill('a') }, '`name` must be text (got a list of 101 items)'],
  [{ name: [{}] }, '`name` must be text (got a list of 1 item)'],
  [{ kind: 'a\u0000\u202eb' }, '`kind` must be one of image, video (got "a\\u0000\\u202eb")'],
  [{ size: 4 }, '`size` must be at least 8 (got 4); `size` must be a multiple of 8 (got 4)'],
  [{ size: 12 }, '`size` must be a multiple of 8 (got 12)'],
  [{ share: 0 }, '`share` must be more than 0 (got 0)'],
  [{ share: '1' }, '`share` must be a number (got "1")'],
  [{ kind: 'film' }, '`kind` must be one of image, video (got "film")'],
  [{ parts: [] }, '`parts` must be a list of at least 1 item (got an empty list)'],
  [{ parts: {} }, '`parts` must be a list (got an object)'],
  [{ parts: [{ on: 1 }] }, '`parts.0.on` must be true or false (got 1)'],
  [{ skip: 'all' }, '`skip` must be none or a number (got "all")'],
  [{ sha: 'BEEF' }, '`sha` must be a hash (got "BEEF")'],
  [{ sead: 1, sort: 2 }, '`sead` is not a known field; `sort` is not a known field'],
])('%j is reported in our words', (change, message) => {
  expect(() => parseSchema(schema, { ...right, ...change })).toThrow(new Error(message));
});

test('a value of an entirely different kind', () => {
  expect(() => parseSchema(schema, null)).toThrow(new Error('it must be an object (got null)'));
  expect(tryParse(schema, undefined)).toEqual({ faults: [{ field: '', given: undefined, mustBe: 'an object' }] });
});

test('only the first ten faults are listed', () => {
  const list = Array.from({ length: 5000 }, (_, index) => index);
  expect(() => parseSchema(z.array(z.string()), list)).toThrow(/`9` must be text \(got 9\); and 4990 more$/);
});

test('a valid value is returned', () => {
  expect(parseSchema(schema, right)).toEqual(right);
});
