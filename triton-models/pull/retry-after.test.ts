import { expect, test } from '@jest/globals';
import { retryAfterSeconds } from './retry-after.ts';

test.each<[Record<string, string>, number | undefined]>([
  [{ 'retry-after': '17' }, 17],
  [{ 'retry-after': 'Sun, 29 Nov 2026 00:00:30 GMT' }, 30],
  [{ 'retry-after': 'Sat, 28 Nov 2026 00:00:00 GMT' }, 0],
  [{ ratelimit: '"api";r=0;t=55' }, 55],
  [{ ratelimit: '"pages";r=12;t=10, "resolvers";r=0;t=290' }, 290],
  [{ ratelimit: '"api";r=3;t=55' }, undefined],
  [{ 'retry-after': 'soon' }, undefined],
  [{}, undefined],
])('%j', (headers, seconds) => {
  expect(retryAfterSeconds(new Headers(headers), Date.parse('2026-11-29T00:00:00Z'))).toBe(seconds);
});
