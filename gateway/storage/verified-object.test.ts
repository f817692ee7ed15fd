import { randomBytes } from 'node:crypto';
import { truncate, utimes, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { buffer } from 'node:stream/consumers';
import { afterAll, afterEach, beforeAll, describe, expect, test } from '@jest/globals';
import { withTemporaryFolder } from '../../services/kit/testing/temporary-folder.ts';
import { honest, type LyingBucket, startLyingBucket } from '../testing/lying-bucket.ts';
import type { ObjectStore, StoredObject } from './object-store.ts';
import { openObjectStore } from './open-object-store.ts';
import { openVerified, putVerified } from './verified-object.ts';

const mediaType = 'video/mp4';
const noDataFolder = { path: '/nowhere', temporary: false, close: async () => {} };
/** Three blocks, the last a short one. */
const content = randomBytes(600_000);
/** As an earlier release stored it. */
const withoutBlocks = ({ bytes, sha256 }: StoredObject): StoredObject => ({ bytes, sha256 });
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

describe.each([
  ['with hashes of its blocks', (stored: StoredObject) => stored],
  ['of an earlier release', withoutBlocks],
])('a file in a folder %s', (_, recorded) => {
  /** Runs `use` with a stored file. */
  const withFile = (use: (store: ObjectStore, stored: StoredObject, path: string) => Promise<void>) =>
    withTemporaryFolder(async (folder) => {
      const store = await openObjectStore(folder, noDataFolder);
      await use(store, recorded(await store.put('a', content, { mediaType })), join(folder, 'a'));
    });

  test('is served as it was stored, whole and in part', () =>
    withFile(async (store, stored) => {
      expect((await buffer(await openVerified(store, 'a', stored))).equals(content)).toBe(true);
      for (const range of [
        { start: 0, end: 0 },
        { start: 70_000, end: 599_999 },
        { start: 262_143, end: 262_144 },
        { start: 262_144, end: 524_287 },
        { start: 524_288, end: 524_288 },
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
    withFile(async (store, stored, path) => {
      await change(path);
      await expect(openVerified(store, 'a', stored)).rejects.toMatchObject(damage);
      await expect(openVerified(store, 'a', stored, { start: 1, end: 2 })).rejects.toMatchObject(damage);
      await expect(openVerified(store, 'a', stored, { start: 599_999, end: 599_999 })).rejects.toMatchObject(damage);
      const beyond = openVerified(store, 'a', stored, { start: 600_000, end: 600_001 });
      await expect(beyond).rejects.toMatchObject({ codeName: 'OUT_OF_RANGE' });
    }),
  );

  test('fails before its last bytes if its content has changed', () =>
    withFile(async (store, stored, path) => {
      await writeFile(path, flipped(content));
      const { bytes, failure } = await given(store, 'a', stored);
      expect(failure).toMatchObject(damage);
      expect(bytes).toBeLessThan(content.length);
    }));

  test.each([
    ['also after a range was given', true],
    ['from the first one', false],
  ])('with other bytes than were stored has no ranges there, %s', (_, isRead) =>
    withFile(async (store, stored, path) => {
      const range = { start: 299_999, end: 300_000 };
      const expected = content.subarray(range.start, range.end + 1);
      if (isRead) {
        expect(await buffer(await openVerified(store, 'a', stored, range))).toEqual(expected);
      }
      await writeFile(path, flipped(content));
      await expect(openVerified(store, 'a', stored, range)).rejects.toMatchObject(damage);
      await expect(openVerified(store, 'a', stored, range)).rejects.toMatchObject(damage);
      await writeFile(path, content);
      expect(await buffer(await openVerified(store, 'a', stored, range))).toEqual(expected);
    }),
  );
});

test('a flipped byte that leaves size and modification time alone is not served, even after a range was', () =>
  withTemporaryFolder(async (folder) => {
    const store = await openObjectStore(folder, noDataFolder);
    const path = join(folder, 'a');
    const stored = await store.put('a', content, { mediaType });
    const small = await store.put('b', content.subarray(0, 1000), { mediaType });
    const [inside, outside] = [
      { start: 300_000, end: 300_009 },
      { start: 0, end: 9 },
    ];
    const part = (range: typeof inside) => content.subarray(range.start, range.end + 1);
    const flip = async (file: string, body: Buffer) => {
      await writeFile(file, body);
      await utimes(file, 1, 1);
    };
    await utimes(path, 1, 1);
    await utimes(join(folder, 'b'), 1, 1);
    expect(await buffer(await openVerified(store, 'a', stored, inside))).toEqual(part(inside));
    expect(await buffer(await openVerified(store, 'b', small, outside))).toEqual(part(outside));
    await flip(path, flipped(content));
    await flip(join(folder, 'b'), flipped(content.subarray(0, 1000)));
    await expect(openVerified(store, 'a', stored, inside)).rejects.toMatchObject(damage);
    await expect(openVerified(store, 'b', small, outside)).rejects.toMatchObject(damage);
    // Its own block is intact.
    expect(await buffer(await openVerified(store, 'a', stored, outside))).toEqual(part(outside));
    const { bytes, failure } = await given(store, 'a', stored);
    expect([bytes, failure]).toEqual([262_144, expect.objectContaining(damage)]);
  }));

test('bytes of an earlier release that changed silently are not served, whatever was read before', () =>
  withTemporaryFolder(async (folder) => {
    const store = await openObjectStore(folder, noDataFolder);
    const path = join(folder, 'a');
    const stored = withoutBlocks(await store.put('a', content, { mediaType }));
    await utimes(path, 1, 1);
    const [intact, changed] = [
      { start: 0, end: 9 },
      { start: 300_000, end: 300_009 },
    ];
    expect(await buffer(await openVerified(store, 'a', stored, changed))).toEqual(content.subarray(300_000, 300_010));
    await writeFile(path, flipped(content));
    await utimes(path, 1, 1);
    expect((await given(store, 'a', stored)).failure).toMatchObject(damage);
    await expect(openVerified(store, 'a', stored, changed)).rejects.toMatchObject(damage);
    expect(await buffer(await openVerified(store, 'a', stored, intact))).toEqual(content.subarray(0, 10));
  }));

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
  ])('and %s uploads is detected at once', async (how, lie) => {
    bucket.lies.keep = (_, body) => lie(body);
    await expect(putVerified(store, how.replace(' ', '-'), content, { mediaType })).rejects.toMatchObject({
      codeName: 'UNAVAILABLE',
      message: expect.stringContaining('the object just stored cannot be read back'),
    });
    bucket.lies.keep = (_, body) => body;
    await putVerified(store, how.replace(' ', '-'), content, { mediaType });
  });

  describe.each([
    ['with hashes of its blocks', (stored: StoredObject) => stored],
    ['of an earlier release', withoutBlocks],
  ])('and a file %s', (name, recorded) => {
    const key = name.replaceAll(' ', '-');
    const range = { start: 300_000, end: 300_009 };
    const part = content.subarray(range.start, range.end + 1);
    let stored: StoredObject;

    beforeAll(async () => {
      stored = recorded(await putVerified(store, key, content, { mediaType }));
    });

    afterEach(() => {
      Object.assign(bucket.lies, honest);
    });

    /** The bucket damages the next `count` answers. */
    const garble = (count: number) => {
      let left = count;
      bucket.lies.give = (_, body) => (left-- > 0 ? flipped(body) : body);
    };

    test.each([['"etag"'], [undefined]])(
      'with the ETag %s has no range of other bytes, before and after a complete read',
      async (tag) => {
        Object.assign(bucket.lies, { tag });
        for (const isRead of [false, true]) {
          if (isRead) {
            expect((await given(store, key, stored)).bytes).toBe(content.length);
          }
          bucket.lies.give = (_, body) => flipped(body);
          await expect(openVerified(store, key, stored, range)).rejects.toMatchObject(damage);
          bucket.lies.give = (_, body) => body;
          expect(await buffer(await openVerified(store, key, stored, range))).toEqual(part);
        }
      },
    );

    test('is read again after one wrong answer, whole and in part', async () => {
      garble(1);
      expect(await buffer(await openVerified(store, key, stored, range))).toEqual(part);
      garble(1);
      expect((await buffer(await openVerified(store, key, stored))).equals(content)).toBe(true);
      bucket.lies.give = (_, body) => body.subarray(1);
      await expect(openVerified(store, key, stored, range)).rejects.toMatchObject(damage);
      garble(0);
      expect(await buffer(await openVerified(store, key, stored, range))).toEqual(part);
    });

    test('is served in ranges by a bucket that ignores them', async () => {
      bucket.lies.ignoresRanges = true;
      expect(await buffer(await openVerified(store, key, stored, range))).toEqual(part);
      const last = { start: 599_999, end: 599_999 };
      expect(await buffer(await openVerified(store, key, stored, last))).toEqual(content.subarray(599_999));
      bucket.lies.give = (_, body) => body.subarray(0, 100);
      await expect(openVerified(store, key, stored, range)).rejects.toMatchObject(damage);
    });

    test.each([
      ['before its answer', -1],
      ['before the first byte', 0],
      ['within the first block', 1000],
    ])('is unavailable when the bucket falls silent %s', async (_, bytes) => {
      bucket.lies.silentAfter = bytes;
      for (const part of [undefined, range]) {
        await expect(openVerified(store, key, stored, part, 0.3)).rejects.toMatchObject({
          codeName: 'UNAVAILABLE',
          reason: 'STORAGE_UNAVAILABLE',
          message: 'storage: the store gave nothing for 0.3 seconds',
        });
      }
    });

    test('breaks off when the bucket falls silent after some blocks', async () => {
      expect((await given(store, key, stored)).bytes).toBe(content.length);
      bucket.lies.silentAfter = 300_000;
      const stream = await openVerified(store, key, stored, undefined, 0.3);
      await expect(buffer(stream)).rejects.toMatchObject({ codeName: 'UNAVAILABLE' });
    });
  });

  test('never passes off damaged bytes as complete', async () => {
    const stored = await store.put('later', content, { mediaType });
    const range = { start: 300_000, end: 300_009 };
    bucket.lies.give = (_, body) => flipped(body);
    const { bytes, failure } = await given(store, 'later', stored);
    expect(failure).toMatchObject(damage);
    expect(bytes).toBeLessThan(content.length);
    await expect(openVerified(store, 'later', stored, range)).rejects.toMatchObject(damage);
    bucket.lies.give = (_, body) => body.subarray(0, -1);
    await expect(openVerified(store, 'later', stored, range)).rejects.toMatchObject(damage);
    await expect(openVerified(store, 'later', stored)).rejects.toMatchObject(damage);
    bucket.lies.give = (_, body) => body;
    expect((await given(store, 'later', stored)).bytes).toBe(content.length);
  });
});
