import { createHash, randomBytes } from 'node:crypto';
import { mkdir, readdir, symlink, utimes, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
// @ts-expect-error It has no types.
import S3rver from 's3rver';
import { temporaryFolder, withTemporaryFolder } from '../../services/kit/testing/temporary-folder.ts';
import { scopeOfAllTests } from '../../services/kit/testing/test-scope.ts';
import { timeLimit } from '../../services/kit/time-limit.ts';
import type { ObjectStore } from './object-store.ts';
import { openObjectStore } from './open-object-store.ts';

// s3rver speaks S3 (signatures, multipart uploads, ranges, lists) on a folder.
interface S3Server {
  run(): Promise<{ port: number }>;
  close(): Promise<void>;
}

const mediaType = 'application/octet-stream';

async function withFolderStore(use: (store: ObjectStore, folder: string) => Promise<void>): Promise<void> {
  await withTemporaryFolder(async (path) => {
    const store = await openObjectStore('', { path, temporary: false, close: async () => {} });
    await use(store, join(path, 'files'));
    await store.close();
  });
}

async function withS3Store(use: (store: ObjectStore) => Promise<void>): Promise<void> {
  const store = await openObjectStore(`s3://videos/below/${randomBytes(4).toString('hex')}`, noDataFolder);
  await use(store);
  await store.close();
}

const noDataFolder = { path: '/nowhere', temporary: false, close: async () => {} };

async function read(store: ObjectStore, key: string, range?: { start: number; end: number }) {
  const { bytes, stream } = await store.open(key, range);
  return { bytes, content: await buffer(stream) };
}

async function* endless(): AsyncGenerator<Buffer> {
  const piece = Buffer.alloc(1 << 18, 'x');
  for (;;) {
    yield piece;
    await delay(1);
  }
}

function contract(withStore: (use: (store: ObjectStore) => Promise<void>) => Promise<void>): void {
  test('returns what was stored, with its size and hashes, whole and in ranges', async () => {
    await withStore(async (store) => {
      // More than one part of an upload, the last one incomplete.
      const content = randomBytes(17_000_001);
      const pieces = [content.subarray(0, 1), content.subarray(1, 9_000_000), content.subarray(9_000_000)];
      const sha256Of = (bytes: Buffer) => createHash('sha256').update(bytes).digest('hex');
      const blocks = Array.from({ length: 65 }, (_, i) => sha256Of(content.subarray(i << 18, (i + 1) << 18)));
      expect(await store.put('job/files/1/video.mp4', Readable.from(pieces), { mediaType })).toEqual({
        bytes: content.length,
        sha256: sha256Of(content),
        blocks,
      });
      expect((await read(store, 'job/files/1/video.mp4')).content.equals(content)).toBe(true);
      for (const [start, end, last] of [
        [5, 14, 14],
        [17_000_000, 17_000_000, 17_000_000],
        [16_999_990, 99_000_000, 17_000_000],
      ] as const) {
        const part = await read(store, 'job/files/1/video.mp4', { start, end });
        expect(part.bytes).toBe(content.length);
        expect(part.content.equals(content.subarray(start, last + 1))).toBe(true);
      }
    });
  });

  test('replaces an object, and stores any bytes, even none', async () => {
    await withStore(async (store) => {
      await store.put('a', Buffer.from('first, and longer'), { mediaType });
      await store.put('a', new Uint8Array([1, 2, 3]), { mediaType });
      expect((await read(store, 'a')).content).toEqual(Buffer.from([1, 2, 3]));
      expect(await store.put('empty', new Uint8Array(0), { mediaType })).toMatchObject({ bytes: 0 });
      expect(await read(store, 'empty')).toEqual({ bytes: 0, content: Buffer.alloc(0) });
      await store.put('empty/none', Readable.from([]), { mediaType }).catch(() => {});
    });
  });

  test('keeps nothing of an object whose body failed or whose write was aborted', async () => {
    await withStore(async (store) => {
      const broken = Readable.from(
        (async function* () {
          yield Buffer.alloc(9 << 20);
          throw new Error('the source broke');
        })(),
      );
      await expect(store.put('a', broken, { mediaType })).rejects.toThrow('the source broke');
      const aborted = store.put('b', Readable.from(endless()), { mediaType, signal: timeLimit(200).signal });
      await expect(aborted).rejects.toMatchObject({ name: expect.stringMatching(/^(Abort|Timeout)Error$/) });
      const before = store.put('c', Readable.from(endless()), { mediaType, signal: AbortSignal.abort() });
      await expect(before).rejects.toMatchObject({ name: 'AbortError' });
      for (const key of ['a', 'b', 'c']) {
        await expect(store.open(key)).rejects.toMatchObject({ codeName: 'NOT_FOUND' });
      }
    });
  });

  test('removes only what is below a prefix', async () => {
    await withStore(async (store) => {
      for (const key of ['job-1/a', 'job-1/b/c', 'job-10/a', 'job-2']) {
        await store.put(key, Buffer.from(key), { mediaType });
      }
      await store.removeAll('job-1/');
      await store.removeAll('job-2');
      await store.removeAll('job-3');
      await expect(store.open('job-1/a')).rejects.toMatchObject({ codeName: 'NOT_FOUND', reason: 'NO_SUCH_OBJECT' });
      await expect(store.open('job-1/b/c')).rejects.toMatchObject({ codeName: 'NOT_FOUND' });
      expect((await read(store, 'job-10/a')).content.toString()).toBe('job-10/a');
      expect((await read(store, 'job-2')).content.toString()).toBe('job-2');
    });
  });

  test('concurrent writers, even of one object, leave complete objects', async () => {
    await withStore(async (store) => {
      const contents = Array.from({ length: 12 }, (_, index) => Buffer.alloc(300_000, index));
      await Promise.all(
        contents.flatMap((content, index) => [
          store.put(`job/${index}`, content, { mediaType }),
          store.put('job/shared', Readable.from([content]), { mediaType }),
        ]),
      );
      const { content } = await read(store, 'job/shared');
      expect(content.equals(contents[content[0]!]!)).toBe(true);
      await store.removeAll('job');
    });
  });

  test.each([
    '',
    '/',
    '/etc/passwd',
    '../outside',
    'a/../../outside',
    'a/./b',
    'a//b',
    'a/',
    '.hidden',
    'a/.partial',
    'a\\b',
    'a\0b',
    'a b',
    'ä',
    'a?b',
    'a%2fb',
    'a\n',
    'x'.repeat(513),
  ])('refuses the key %j', async (key) => {
    await withStore(async (store) => {
      const refusal = { codeName: 'INVALID_ARGUMENT', field: 'key' };
      await expect(store.put(key, Buffer.from('x'), { mediaType })).rejects.toMatchObject(refusal);
      await expect(store.open(key)).rejects.toMatchObject(refusal);
      // As a prefix, `a/` is one.
      await expect(store.removeAll(key === 'a/' ? '' : key)).rejects.toMatchObject(refusal);
    });
  });

  test('rejects invalid ranges and ranges that start after the end', async () => {
    await withStore(async (store) => {
      await store.put('a', Buffer.alloc(10), { mediaType });
      for (const [start, end] of [
        [-1, 3],
        [3, 2],
        [0.5, 2],
        [0, Number.NaN],
        [Number.NaN, 1],
        [0, 2 ** 60],
      ] as const) {
        await expect(store.open('a', { start, end })).rejects.toMatchObject({ codeName: 'INVALID_ARGUMENT' });
      }
      await expect(store.open('a', { start: 10, end: 12 })).rejects.toMatchObject({ codeName: 'OUT_OF_RANGE' });
      await expect(store.open('b', { start: 10, end: 12 })).rejects.toMatchObject({ codeName: 'NOT_FOUND' });
    });
  });
}

describe('a folder', () => {
  contract((use) => withFolderStore(use));

  test('keeps no partial files and removes those of killed processes', async () => {
    await withTemporaryFolder(async (path) => {
      const dataFolder = { path, temporary: false, close: async () => {} };
      const partial = join(path, 'files', '.partial');
      const store = await openObjectStore('', dataFolder);
      await store.put('a', Readable.from(endless()), { mediaType, signal: timeLimit(50).signal }).catch(() => {});
      expect(await readdir(partial)).toEqual([]);
      await writeFile(join(partial, 'old'), '');
      await writeFile(join(partial, 'fresh'), '');
      await utimes(join(partial, 'old'), 1, 1);
      await openObjectStore('', dataFolder);
      expect(await readdir(partial)).toEqual(['fresh']);
    });
  });

  // Also of a bucket, but s3rver treats an end of 0 as absent.
  test('a range may be just the first byte', async () => {
    await withFolderStore(async (store) => {
      await store.put('a', Buffer.from('0123456789'), { mediaType });
      expect(await read(store, 'a', { start: 0, end: 0 })).toEqual({ bytes: 10, content: Buffer.from('0') });
    });
  });

  test('a folder is not an object', async () => {
    await withFolderStore(async (store, folder) => {
      await mkdir(join(folder, 'a'));
      await expect(store.open('a')).rejects.toMatchObject({ codeName: 'NOT_FOUND' });
      await expect(store.put('a', Buffer.from('x'), { mediaType })).rejects.toMatchObject({
        codeName: 'FAILED_PRECONDITION',
      });
    });
  });

  test('a location that is not a folder is rejected', async () => {
    await withTemporaryFolder(async (path) => {
      await writeFile(join(path, 'file'), '');
      await symlink(join(path, 'nowhere'), join(path, 'dangling'));
      for (const location of [join(path, 'file'), join(path, 'file', 'below'), join(path, 'dangling'), '/proc/x']) {
        await expect(openObjectStore(location, noDataFolder)).rejects.toMatchObject({
          codeName: 'INVALID_ARGUMENT',
          field: 'FUSIONFRAMES_STORAGE',
        });
      }
    });
  });
});

describe('a bucket', () => {
  const environment = { ...process.env };
  const scope = scopeOfAllTests();
  const folder = temporaryFolder(scope);

  beforeAll(async () => {
    const server: S3Server = new S3rver({
      port: 0,
      address: '127.0.0.1',
      silent: true,
      directory: folder,
      configureBuckets: [{ name: 'videos' }],
    });
    const { port } = await server.run();
    scope.add(server);
    Object.assign(process.env, {
      AWS_ENDPOINT_URL_S3: `http://127.0.0.1:${port}`,
      AWS_ACCESS_KEY_ID: 'S3RVER',
      AWS_SECRET_ACCESS_KEY: 'S3RVER',
      // No requests to the machine's metadata service.
      AWS_EC2_METADATA_DISABLED: 'true',
    });
  });

  afterAll(() => {
    process.env = environment;
  });

  contract(withS3Store);

  test('credentials may come from a file', async () => {
    const { AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY } = process.env;
    const file = join(folder, 'credentials');
    await writeFile(file, '[default]\naws_access_key_id = S3RVER\naws_secret_access_key = S3RVER\n');
    delete process.env.AWS_ACCESS_KEY_ID;
    delete process.env.AWS_SECRET_ACCESS_KEY;
    process.env.AWS_SHARED_CREDENTIALS_FILE = file;
    try {
      await withS3Store(async (store) => {
        await store.put('job/a', Readable.from([Buffer.from('x')]), { mediaType });
        expect((await read(store, 'job/a')).content.toString()).toBe('x');
      });
    } finally {
      delete process.env.AWS_SHARED_CREDENTIALS_FILE;
      Object.assign(process.env, { AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY });
    }
  });

  test('a bucket is reopened with its content', async () => {
    const location = `s3://videos/again/${randomBytes(4).toString('hex')}`;
    for (const key of ['a', 'b', 'c']) {
      const store = await openObjectStore(location, noDataFolder);
      await store.put(key, Buffer.from(key), { mediaType });
      expect((await read(store, 'a')).content.toString()).toBe('a');
      await store.close();
    }
  });

  test('stores in one bucket do not see each other', async () => {
    await withS3Store(async (first) => {
      await first.put('a', Buffer.from('x'), { mediaType });
      await withS3Store(async (second) => {
        await expect(second.open('a')).rejects.toMatchObject({ codeName: 'NOT_FOUND' });
      });
    });
  });

  test.each([
    's3://',
    's3://a',
    's3://UPPER',
    's3://videos/../x',
    's3://videos//x',
    's3://videos?x',
    'gs://videos',
    'http://x/y',
  ])('the location %s is refused', async (location) => {
    await expect(openObjectStore(location, noDataFolder)).rejects.toMatchObject({
      codeName: 'INVALID_ARGUMENT',
      field: 'FUSIONFRAMES_STORAGE',
    });
  });

  test('problems with the bucket, the credentials or the server are reported at startup', async () => {
    await expect(openObjectStore('s3://missing', noDataFolder)).rejects.toMatchObject({
      codeName: 'FAILED_PRECONDITION',
      message: expect.stringContaining('bucket does not exist'),
    });
    const { AWS_ENDPOINT_URL_S3 } = process.env;
    process.env.AWS_ENDPOINT_URL_S3 = 'http://127.0.0.1:1';
    await expect(openObjectStore('s3://videos', noDataFolder)).rejects.toMatchObject({
      codeName: 'UNAVAILABLE',
      message: expect.stringContaining('connection refused'),
    });
    process.env.AWS_ENDPOINT_URL_S3 = AWS_ENDPOINT_URL_S3;
    delete process.env.AWS_SECRET_ACCESS_KEY;
    await expect(openObjectStore('s3://videos', noDataFolder)).rejects.toMatchObject({
      codeName: 'FAILED_PRECONDITION',
      message: expect.stringContaining('Could not load credentials'),
    });
  });
});
