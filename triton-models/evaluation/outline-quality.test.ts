import { describe, expect, test } from '@jest/globals';
import { loadPreset } from '../../services/pipeline/preset.ts';
import { type Pose, renderFrame } from '../world/render.ts';
import { loadWorld } from '../world/world.ts';
import { Detector } from './detector.ts';
import { type OutlineQuality, outlineQuality } from './outline-quality.ts';

const { floor } = Math;

const detector = new Detector(loadWorld(loadPreset('nano')));
const size = 128;

/** A white shape on black in 15 frames. */
function draw(shape: string, poseOf: (frame: number) => Partial<Pose>): Uint8Array[] {
  return Array.from({ length: 15 }, (_, frame) => {
    const pose = { x: 0.5, y: 0.5, radius: 0.2, angle: 0, ...poseOf(frame) };
    return renderFrame([0, 0, 0], [{ shape, colour: [250, 250, 250], pose }], size);
  });
}

function qualityOf(frames: readonly Uint8Array[]): OutlineQuality {
  const [thing] = detector.detect({ size, frames }).things;
  return thing!.outline!;
}

/** Each pixel the mean of the nine around it. */
function blurred(frame: Uint8Array): Uint8Array {
  const result = frame.slice();
  for (let row = 1; row < size - 1; row++) {
    for (let column = 1; column < size - 1; column++) {
      for (let channel = 0; channel < 3; channel++) {
        let sum = 0;
        for (let place = 0; place < 9; place++) {
          const pixel = (row + floor(place / 3) - 1) * size + column + (place % 3) - 1;
          sum += frame[pixel * 3 + channel]!;
        }
        result[(row * size + column) * 3 + channel] = sum / 9;
      }
    }
  }
  return result;
}

describe.each(['circle', 'star'])('a %s', (shape) => {
  const still = qualityOf(draw(shape, () => ({})));

  test('that does not move is perfectly steady', () => {
    expect(still.steadiness).toBeCloseTo(1, 6);
  });

  test('that moves by fractions of pixels is nearly as steady', () => {
    const { steadiness } = qualityOf(draw(shape, (frame) => ({ x: 0.3 + 0.0257 * frame, y: 0.6 - 0.0113 * frame })));
    expect(steadiness).toBeGreaterThan(0.95);
  });

  test('that trembles is less steady, the more it trembles', () => {
    const trembling = (part: number) =>
      qualityOf(draw(shape, (frame) => ({ radius: 0.2 * (1 + (frame % 2 ? part : -part)) }))).steadiness;
    expect(trembling(0.04)).toBeLessThan(0.9);
    expect(trembling(0.08)).toBeLessThan(trembling(0.04) - 0.05);
  });

  test('with a soft edge is as steady but less sharp', () => {
    const soft = qualityOf(Array(15).fill(blurred(draw(shape, () => ({}))[0]!)));
    expect(soft.steadiness).toBeCloseTo(1, 6);
    expect(still.sharpness).toBeGreaterThan(0.6);
    expect(soft.sharpness).toBeLessThan(0.6 * still.sharpness);
  });
});

test('a star that turns is less steady than one that moves', () => {
  const turning = qualityOf(draw('star', (frame) => ({ angle: 0.2 * frame })));
  const moving = qualityOf(draw('star', (frame) => ({ x: 0.3 + 0.02 * frame })));
  expect(turning.steadiness).toBeLessThan(moving.steadiness - 0.1);
});

test('without consecutive frames there is no result', () => {
  const outline = { cover: new Map([[size * 64 + 64, 1]]), area: 1 / size ** 2, x: 0.5, y: 0.5 };
  expect(outlineQuality([], size)).toBeUndefined();
  expect(
    outlineQuality(
      [3, 5].map((frame) => ({ frame, ...outline })),
      size,
    ),
  ).toBeUndefined();
  expect(
    outlineQuality(
      [3, 4].map((frame) => ({ frame, ...outline })),
      size,
    )?.steadiness,
  ).toBe(1);
});
