import { randomBytes } from 'node:crypto';
import { truncate, utimes, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { buffer } from 'node:stream/consumers';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { withTemporaryFolder } from '../../services/kit/testing/temporary-folder.ts';
import { type LyingBucket, startLyingBucket } from '../testing/lying-bucket.ts';
import type { ObjectStore } from './object-store.ts';
import { openObjectStore } from './open-object-store.ts';
import { openVerified, putVerified } from './verified-object.ts';

const mediaType = 'video/mp4';
const noDataFolder = { path: '/nowhere', temporary: false, close: async () => {} };
const content = randomBytes(200_000);
const damage = { codeName: 'DATA_LOSS', reason: 'OBJECT_DAMAGED' };

function flipped(body: Buffer): Buffer {
  const other = Buffer.from(body);
  other[other.length >> 1]! ^= 1;
  return other;
}

async function given(store: ObjectStore, key: string, stored: Parameters<typeof openVerified>[2]) {
  const pieces: Buffer[] = [];
  const stream = await openVerified(store, key, stored);
  const failure = await (async () => {
    for await (const piece of stream) {
      pieces.push(piece);
    }
  })().catch((error) => error);
  return { bytes: Buffer.concat(pieces).length, failure };
}

describe('a file in a folder', () => {
  test('is served as it was stored, whole and in part', () =>
    withTemporaryFolder(async (folder) => {
      const store = await openObjectStore(folder, noDataFolder);
      const stored = await store.put('a', content, { mediaType });
      expect((await buffer(await openVerified(store, 'a', stored))).equals(content)).toBe(true);
      for (const range of [
        { start: 0, end: 0 },
        { start: 70_000, end: 199_999 },
        { start: 5, end: 10 ** 9 },
        { start: 0, end: 10 ** 9 },
      ]) {
        const part = await buffer(await openVerified(store, 'a', stored, range));
        expect(part.equals(content.subarray(range.start, range.end + 1))).toBe(true);
      }
    }));

  test.each([
    ['shorter', (path: string) => truncate(path, 100_000)],
    ['longer', (path: string) => writeFile(path, randomBytes(5), { flag: 'a' })],
  ])('that is %s than it was is refused before its first byte', (_, change) =>
    withTemporaryFolder(async (folder) => {
      const store = await openObjectStore(folder, noDataFolder);
      const stored = await store.put('a', content, { mediaType });
      await change(join(folder, 'a'));
      await expect(openVerified(store, 'a', stored)).rejects.toMatchObject(damage);
      await expect(openVerified(store, 'a', stored, { start: 1, end: 2 })).rejects.toMatchObject(damage);
      await expect(openVerified(store, 'a', stored, { start: 199_999, end: 199_999 })).rejects.toMatchObject(damage);
      const beyond = openVerified(store, 'a', stored, { start: 300_000, end: 300_001 });
      await expect(beyond).rejects.toMatchObject({ codeName: 'OUT_OF_RANGE' });
    }),
  );

  test('fails before its last bytes if its content has changed', () =>
    withTemporaryFolder(async (folder) => {
      const store = await openObjectStore(folder, noDataFolder);
      const stored = await store.put('a', content, { mediaType });
      await writeFile(join(folder, 'a'), flipped(content));
      const { bytes, failure } = await given(store, 'a', stored);
      expect(failure).toMatchObject(damage);
      expect(bytes).toBeLessThan(content.length);
    }));

  test.each([
    ['also after a range was given', true],
    ['from the first one', false],
  ])('with other bytes than were stored has no ranges, %s', (_, isRead) =>
    withTemporaryFolder(async (folder) => {
      const store = await openObjectStore(folder, noDataFolder);
      const stored = await store.put('a', content, { mediaType });
      const range = { start: 0, end: 9 };
      if (isRead) {
        expect(await buffer(await openVerified(store, 'a', stored, range))).toEqual(content.subarray(0, 10));
      }
      await writeFile(join(folder, 'a'), flipped(content));
      await expect(openVerified(store, 'a', stored, range)).rejects.toMatchObject(damage);
      await expect(openVerified(store, 'a', stored, range)).rejects.toMatchObject(damage);
      await writeFile(join(folder, 'a'), content);
      expect(await buffer(await openVerified(store, 'a', stored, range))).toEqual(content.subarray(0, 10));
    }),
  );

  test('serves no ranges after a complete read has found silent corruption', () =>
    withTemporaryFolder(async (folder) => {
      const store = await openObjectStore(folder, noDataFolder);
      const path = join(folder, 'a');
      const stored = await store.put('a', content, { mediaType });
      await utimes(path, 1, 1);
      const range = { start: 0, end: 9 };
      expect(await buffer(await openVerified(store, 'a', stored, range))).toEqual(content.subarray(0, 10));
      await writeFile(path, flipped(content));
      await utimes(path, 1, 1);
      expect((await given(store, 'a', stored)).failure).toMatchObject(damage);
      await expect(openVerified(store, 'a', stored, range)).rejects.toMatchObject(damage);
    }));
});

describe('a bucket that lies', () => {
  const environment = { ...process.env };
  let bucket: LyingBucket;
  let store: ObjectStore;

  beforeAll(async () => {
    bucket = await startLyingBucket();
    Object.assign(process.env, {
      AWS_ENDPOINT_URL_S3: bucket.endpoint,
      AWS_ACCESS_KEY_ID: 'x',
      AWS_SECRET_ACCESS_KEY: 'x',
      AWS_EC2_METADATA_DISABLED: 'true',
    });
    store = await openObjectStore('s3://videos', noDataFolder);
  });

  afterAll(async () => {
    process.env = environment;
    await store.close();
    await bucket.close();
  });

  test.each([
    ['forgets', () => undefined],
    ['damages', flipped],
    ['shortens', (body: Buffer) => body.subarray(0, -1)],
    ['adds to', (body: Buffer) => Buffer.concat([body, Buffer.from('x')])],
  ])('and %s what it is sent is found out at once', async (how, lie) => {
    bucket.lies.keep = (_, body) => lie(body);
    await expect(putVerified(store, how.replace(' ', '-'), content, { mediaType })).rejects.toMatchObject({
      codeName: 'UNAVAILABLE',
      message: expect.stringContaining('the object just stored cannot be read back'),
    });
    bucket.lies.keep = (_, body) => body;
    await putVerified(store, how.replace(' ', '-'), content, { mediaType });
  });

  test('never passes off damaged bytes as complete', async () => {
    const stored = await store.put('later', content, { mediaType });
    bucket.lies.give = (_, body) => flipped(body);
    const { bytes, failure } = await given(store, 'later', stored);
    expect(failure).toMatchObject(damage);
    expect(bytes).toBeLessThan(content.length);
    bucket.lies.give = (_, body) => body.subarray(0, -1);
    await expect(openVerified(store, 'later', stored)).rejects.toMatchObject(damage);
    bucket.lies.give = (_, body) => body;
    expect((await given(store, 'later', stored)).bytes).toBe(content.length);
  });
});
