import { expect, test } from '@jest/globals';
import { placeThings } from './place-things.ts';

const [width, height] = [64, 64];
const navy = [20, 30, 84];
type Box = [left: number, top: number, right: number, bottom: number];

function film(colour: number[], ...boxes: Box[]) {
  const pictures = boxes.map(([left, top, right, bottom]) =>
    Uint8Array.from({ length: width * height * 3 }, (_, i) => {
      const [x, y] = [Math.floor(i / 3) % width, Math.floor(i / 3 / width)];
      const isInside = x >= left && x < right && y >= top && y < bottom;
      return (isInside ? colour : navy)[i % 3]!;
    }),
  );
  return { width, height, pictures };
}

/** Where a picture has a colour, the last column and row outside. */
function boxOf(picture: Uint8Array, colour: number[]): Box | undefined {
  const box: Box = [width, height, 0, 0];
  for (let pixel = 0; pixel < width * height; pixel++) {
    if (colour.every((value, channel) => Math.abs(picture[pixel * 3 + channel]! - value) < 40)) {
      const [x, y] = [pixel % width, Math.floor(pixel / width)];
      box[0] = Math.min(box[0], x);
      box[1] = Math.min(box[1], y);
      box[2] = Math.max(box[2], x + 1);
      box[3] = Math.max(box[3], y + 1);
    }
  }
  return box[2] === 0 ? undefined : box;
}

const [red, green] = [
  [226, 44, 44],
  [44, 176, 64],
];

test('things that move sideways get smaller in rows, the first above, and move as far', () => {
  const things = [film(red, [4, 24, 20, 40], [44, 24, 60, 40]), film(green, [24, 24, 40, 40], [24, 24, 40, 40])];
  const pictures = [...placeThings(things, 0.5)];
  expect(pictures.map((picture) => [boxOf(picture, red), boxOf(picture, green)])).toEqual([
    [
      [8, 12, 16, 20],
      [28, 44, 36, 52],
    ],
    [
      [48, 12, 56, 20],
      [28, 44, 36, 52],
    ],
  ]);
  // No trace of the places where they were filmed, and nothing but the background elsewhere.
  expect([...pictures[0]!.subarray((32 * width + 32) * 3, (32 * width + 33) * 3)]).toEqual(navy);
});

test('things that move up or down get columns; noise of the background is left out', () => {
  const noisy = film(red, [24, 4, 40, 20], [24, 44, 40, 60]);
  noisy.pictures[0]!.set([24, 26, 80], (50 * width + 50) * 3);
  const [first] = [...placeThings([noisy, film(green, [24, 24, 40, 40], [24, 24, 40, 40])], 0.5)];
  expect([boxOf(first!, red), boxOf(first!, green)]).toEqual([
    [12, 8, 20, 16],
    [44, 28, 52, 36],
  ]);
  expect(new Set(first!.subarray(0, 3 * width)).size).toBe(3);
  const rest = film(navy, [0, 0, 0, 0], [0, 0, 0, 0]);
  const [alone] = [...placeThings([noisy, rest], 0.5)];
  expect(boxOf(alone!, [24, 26, 80])).toEqual(boxOf(alone!, navy));
});

test('where two meet, the one that differs more from the background hides the other', () => {
  const [picture] = [...placeThings([film(red, [0, 8, 64, 56]), film(green, [0, 8, 64, 56])], 1)];
  const middle = [...picture!.subarray((32 * width + 32) * 3, (32 * width + 33) * 3)];
  expect(middle).toEqual(red);
});

test('a thing that never appears leaves the picture to the other', () => {
  const nothing = film(navy, [0, 0, 0, 0]);
  const [picture] = [...placeThings([nothing, film(green, [24, 24, 40, 40])], 1)];
  expect(boxOf(picture!, green)).toEqual([24, 40, 40, 56]);
});
