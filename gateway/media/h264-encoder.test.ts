import { expect, test } from '@jest/globals';
import { eventually } from '../../test/support/cli.ts';
import { bytesInUse } from '../testing/heap.ts';
import { H264Encoder } from './h264-encoder.ts';

const format = { width: 64, height: 64, frames: 2, playbackRate: 8 };

/** Encodes a frame, ends in the given way, and keeps only a weak reference to the encoder. */
async function used(end: (encoder: H264Encoder) => unknown): Promise<WeakRef<H264Encoder>> {
  const encoder = new H264Encoder(format, async () => {});
  await encoder.encode(new Uint8Array(64 * 64 * 3));
  await end(encoder);
  return new WeakRef(encoder);
}

test.each([
  ['finished', (encoder: H264Encoder) => encoder.finish()],
  ['aborted', (encoder: H264Encoder) => encoder.abort(new Error('enough'))],
])('an encoder that has %s leaves no memory behind', async (_, end) => {
  const encoder = await used(end);
  await eventually(async () => {
    await bytesInUse();
    return encoder.deref() === undefined;
  });
  expect(encoder.deref()).toBeUndefined();
});
