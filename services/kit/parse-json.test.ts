import { expect, test } from '@jest/globals';
import { parseJson } from './parse-json.ts';

test('parses JSON', () => {
  expect(parseJson('{"a": [1, null]}')).toEqual({ a: [1, null] });
});

test.each([
  ['', 'it is not valid JSON'],
  ['{"a": 1,\n  b: 2}', 'it is not valid JSON (line 2, column 3)'],
  ['{"a": x}', 'it is not valid JSON'],
])('%j is reported without the words of the engine', (text, message) => {
  expect(() => parseJson(text)).toThrow(new Error(message));
});
