import { readFile } from 'node:fs/promises';
import { beforeAll, expect, test } from '@jest/globals';
import { Status } from 'nice-grpc-common';
import sharp from 'sharp';
import { decodeApart } from './decode-apart.ts';

const size = { width: 64, height: 64 };
/** Takes about a second to decode. */
let large: Buffer;
let small: Buffer;
beforeAll(async () => {
  const plain = (side: number) => sharp({ create: { width: side, height: side, channels: 3, background: 'red' } });
  [large, small] = await Promise.all([plain(6000).png().toBuffer(), plain(64).png().toBuffer()]);
});

test('an abort ends the process, and the next file gets another one', async () => {
  const abort = new AbortController();
  const decoding = decodeApart('preparePicture', ['picture', large, size], abort.signal);
  abort.abort(new Error('no longer needed'));
  await expect(decoding).rejects.toThrow('no longer needed');
  await expect(decodeApart('preparePicture', ['picture', small, size], abort.signal)).rejects.toThrow(
    'no longer needed',
  );
  expect((await decodeApart('preparePicture', ['picture', small, size])).png.length).toBeGreaterThan(0);
});

const children = `/proc/self/task/${process.pid}/children`;
const isListed = await readFile(children).then(
  () => true,
  () => false,
);

(isListed ? test : test.skip)('a process that is killed from outside is not the fault of the file', async () => {
  const before = new Set((await readFile(children, 'utf8')).split(' '));
  // More at once than processes wait for tasks, so that one starts.
  const decoding = [0, 1, 2].map(() => decodeApart('preparePicture', ['picture', large, size]));
  const settled = Promise.allSettled(decoding);
  const started = (await readFile(children, 'utf8')).split(' ').filter((pid) => pid.trim() !== '' && !before.has(pid));
  expect(started.length).toBeGreaterThan(0);
  for (const pid of started) {
    process.kill(Number(pid), 'SIGKILL');
  }
  const failed = (await settled).flatMap((each) => (each.status === 'rejected' ? [each.reason] : []));
  expect(failed).toHaveLength(started.length);
  expect(failed[0]).toMatchObject({
    code: Status.UNAVAILABLE,
    message: 'The process that decodes pictures and clips was killed; try again',
  });
});
