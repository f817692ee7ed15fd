import { describe, expect, test } from '@jest/globals';
import { decoderRequests } from './decoder-requests.ts';
import { loadPreset, type Preset } from './preset.ts';
import { withDecoder } from './testing.ts';

function requests(decoder: Partial<Preset['decoder']>, frames: number) {
  return decoderRequests(withDecoder(loadPreset('nano'), decoder), frames);
}

/** Lengths of the windows, in the order of the frames. */
function windows(frames: number, framesPerRequest = 1): number[] {
  return requests({ kind: 'video', framesPerRequest }, frames).flatMap(({ leading }) => {
    const [count = 0, length = 0] = leading;
    return new Array<number>(count).fill(length);
  });
}

describe('windows of the temporal decoder', () => {
  // What torch.chunk(video, n // 4) gives.
  test.each([
    [4, [4]],
    [5, [5]],
    [7, [7]],
    [8, [4, 4]],
    [9, [5, 4]],
    [11, [6, 5]],
    [15, [5, 5, 5]],
    [16, [4, 4, 4, 4]],
    [17, [5, 5, 5, 2]],
    [57, [...new Array(11).fill(5), 2]],
    [225, new Array(45).fill(5)],
  ])('%d frames', (frames, lengths) => {
    expect(windows(frames)).toEqual(lengths);
  });

  test.each([1, 2, 3])('%d frames, too few for the published code, are one window', (frames) => {
    expect(windows(frames)).toEqual([frames]);
  });

  test('every frame is in exactly one window, for any number of frames and request size', () => {
    for (let frames = 1; frames <= 230; frames++) {
      const framesPerRequest = 1 + ((frames * 7) % 23);
      const all = requests({ kind: 'video', framesPerRequest }, frames);
      let next = 0;
      for (const { start, end, leading } of all) {
        const [count = 0, length = 0] = leading;
        expect(start).toBe(next);
        expect(end - start).toBe(count * length);
        expect(length).toBeLessThanOrEqual(7);
        expect(count === 1 || end - start <= framesPerRequest).toBe(true);
        next = end;
      }
      expect(next).toBe(frames);
      expect(windows(frames, framesPerRequest)).toEqual(windows(frames));
    }
  });

  test('a request takes as many whole windows as allowed; a shorter one is sent alone', () => {
    expect(requests({ kind: 'video', framesPerRequest: 12 }, 17)).toEqual([
      { start: 0, end: 10, leading: [2, 5] },
      { start: 10, end: 15, leading: [1, 5] },
      { start: 15, end: 17, leading: [1, 2] },
    ]);
  });

  test('another minimum window length', () => {
    expect(requests({ kind: 'video', framesPerWindow: 8, framesPerRequest: 1 }, 15).map(({ end }) => end)).toEqual([
      15,
    ]);
  });
});

test('the image decoder takes as many frames as a request may have', () => {
  expect(requests({ framesPerRequest: 8 }, 19)).toEqual([
    { start: 0, end: 8, leading: [8] },
    { start: 8, end: 16, leading: [8] },
    { start: 16, end: 19, leading: [3] },
  ]);
});
