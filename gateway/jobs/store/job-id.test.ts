import { randomBytes } from 'node:crypto';
import { expect, test } from '@jest/globals';
import { isJobId, newJobId, sequenceIn } from './job-id.ts';

test('an id reveals its sequence number only to holders of the key', () => {
  const key = randomBytes(16);
  const places = [1, 2, 2, 0x010203040506, 2 ** 48 - 1];
  const ids = places.map((place) => newJobId(place, key));
  expect(ids.every(isJobId)).toBe(true);
  expect(new Set(ids).size).toBe(places.length);
  expect(ids.map((id) => sequenceIn(id, key))).toEqual(places);
  for (const foreign of [...ids, `video_${'0'.repeat(32)}`, `video_00000000000a${'b'.repeat(20)}`, 'video_1', '']) {
    expect(sequenceIn(foreign, randomBytes(16))).toBeUndefined();
  }
});
