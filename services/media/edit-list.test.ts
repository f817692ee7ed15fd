import { expect, test } from '@jest/globals';
import { isShown, shownPart, wholeTrack } from './edit-list.ts';

const movieTimescale = 1000;
const timescale = 12_800;

test('an edit list shows a part of a track', async () => {
  const part = await partOf([{ duration: 400, start: 2560 }]);
  expect(part).toEqual({ from: 0, until: 0.4 });
  expect([-0.1, 0, 0.3, 0.4].map((timestamp) => isShown(timestamp, part))).toEqual([false, true, true, false]);
});

test('an empty edit delays the part', async () => {
  expect(
    await partOf([
      { duration: 500, start: -1 },
      { duration: 400, start: 0 },
    ]),
  ).toEqual({ from: 0.5, until: 0.9 });
});

test('without an edit list, with one of an unknown length, and in other files all of it is shown', async () => {
  expect(await partOf(undefined)).toEqual(wholeTrack);
  expect(await partOf([{ duration: 0, start: 0 }])).toEqual(wholeTrack);
  expect(await shownPart(reader(Buffer.from('\x1a\x45\xdf\xa3 a WebM file, for example')), 2, timescale)).toEqual(
    wholeTrack,
  );
  expect(await shownPart(reader(Buffer.alloc(0)), 2, timescale)).toEqual(wholeTrack);
});

test('several parts, another speed and a list cut short are refused', async () => {
  const part = { duration: 400, start: 0 };
  await expect(partOf([part, part])).rejects.toThrow('its edit list has 2 parts, which is not supported');
  await expect(partOf([{ ...part, rate: 2 }])).rejects.toThrow(
    'its edit list changes the speed, which is not supported',
  );
  await expect(partOf([part], 1_000_000)).rejects.toThrow('its edit list is cut short');
});

interface Edit {
  duration: number;
  start: number;
  rate?: number;
}

/** Of the second track of a file that has this edit list. */
function partOf(edits: Edit[] | undefined, count = edits?.length) {
  const list = edits?.flatMap(({ duration, start, rate = 1 }) => [
    uint32(duration),
    uint32(start >>> 0),
    uint32(rate * 65_536),
  ]);
  const elst = list ? box('edts', box('elst', uint32(0), uint32(count!), ...list)) : box('free');
  const file = Buffer.concat([
    box('ftyp', Buffer.from('isom')),
    box(
      'moov',
      box('mvhd', Buffer.alloc(12), uint32(movieTimescale)),
      box('trak', box('tkhd', Buffer.alloc(12), uint32(1))),
      box('trak', box('tkhd', Buffer.alloc(12), uint32(2)), elst),
    ),
  ]);
  return shownPart(reader(file), 2, timescale);
}

function reader(file: Buffer) {
  return async (offset: number, length: number) => file.subarray(offset, offset + length);
}

function box(type: string, ...content: Buffer[]): Buffer {
  const body = Buffer.concat(content);
  return Buffer.concat([uint32(8 + body.length), Buffer.from(type), body]);
}

function uint32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value);
  return bytes;
}
