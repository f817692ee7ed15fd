import { expect, test } from '@jest/globals';
import { placeThings } from './place-things.ts';
import { splitThings } from './split-things.ts';

const [width, height] = [64, 64];
const size = { width, height };
const navy = [20, 30, 84];
const [red, green] = [
  [226, 44, 44],
  [44, 176, 64],
];
type Box = [left: number, top: number, right: number, bottom: number];

function picture(...things: [colour: number[], box: Box][]): Uint8Array {
  return Uint8Array.from({ length: width * height * 3 }, (_, i) => {
    const [x, y] = [Math.floor(i / 3) % width, Math.floor(i / 3 / width)];
    const [colour] = things.find(
      ([, [left, top, right, bottom]]) => x >= left && x < right && y >= top && y < bottom,
    ) ?? [navy];
    return colour[i % 3]!;
  });
}

/** The largest difference between two pictures, ignoring the blurred edges of their shapes. */
function difference(one: Uint8Array, other: Uint8Array): number {
  const far = [...one].map((value, i) => Math.abs(value - other[i]!)).sort((a, b) => b - a);
  return far[Math.floor(far.length * 0.02)]!;
}

test('what was taken apart is placed where it was', () => {
  const rows = picture([red, [40, 12, 48, 20]], [green, [28, 44, 36, 52]]);
  const columns = picture([red, [12, 8, 20, 16]], [green, [44, 28, 52, 36]]);
  for (const [given, lanes] of [
    [rows, 'rows'],
    [columns, 'columns'],
  ] as const) {
    const split = splitThings(given, size, 2, 0.5)!;
    expect(split.lanes).toBe(lanes);
    const films = split.pictures.map((each) => ({ ...size, pictures: [each] }));
    const [placed] = [...placeThings(films, 0.5, split.lanes)];
    expect(difference(placed!, given)).toBeLessThan(16);
  }
});

test('each thing is alone in its picture, larger and about where it would be alone', () => {
  const { pictures } = splitThings(picture([red, [40, 12, 48, 20]], [green, [28, 44, 36, 52]]), size, 2, 0.5)!;
  expect(difference(pictures[0]!, picture([red, [36, 24, 52, 40]]))).toBeLessThan(16);
  expect(difference(pictures[1]!, picture([green, [24, 24, 40, 40]]))).toBeLessThan(16);
});

test('other pictures are not taken apart', () => {
  const one: [number[], Box] = [red, [8, 8, 24, 24]];
  const others = [
    picture(),
    picture(one),
    // They touch.
    picture(one, [green, [24, 24, 40, 40]]),
    picture(one, [green, [40, 40, 48, 48]], [red, [50, 52, 60, 62]]),
  ];
  expect(others.map((each) => splitThings(each, size, 2, 0.5))).toEqual(others.map(() => undefined));
});
