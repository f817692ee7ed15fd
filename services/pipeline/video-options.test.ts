import { expect, test } from '@jest/globals';
import { listOptions } from './options.ts';
import { videoOptions } from './video-options.ts';

test('every option has a unique name', () => {
  const names = listOptions(videoOptions).flatMap(({ option }) => [option.name, ...(option.synonyms ?? [])]);
  expect(new Set(names).size).toBe(names.length);
});
