import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from '@jest/globals';
import sharp from 'sharp';
import { packageRoot } from '../../services/kit/package-root.ts';
import { loadPreset } from '../../services/pipeline/preset.ts';
import { isHeldOut, plainCaption, unseenScene } from './grammar.ts';
import { assignLanes, posesOf } from './paths.ts';
import { seededRandom } from './random.ts';
import { type Pose, renderFrame } from './render.ts';
import { loadWorld, type Scene } from './world.ts';

const fixtures = join(packageRoot, 'test', 'fixtures', 'world');
/** Every shape, motion and speed, and pairs, also where nano knows less. */
const world = loadWorld({ ...loadPreset('nano'), world: join(fixtures, 'full.json') });

/** Written by `training/world_cases.py`. */
const cases = JSON.parse(readFileSync(join(fixtures, 'cases.json'), 'utf8')) as {
  size: number;
  clipFrames: number;
  frames: number[];
  drawn: { scene: Scene; random: number[] }[];
  told: { scene: Scene; heldOut: boolean; caption: string }[];
};

test("frames are Python's", async () => {
  const { size, clipFrames, frames, drawn } = cases;
  const expected = await sharp(join(fixtures, 'frames.png')).raw().toBuffer();
  let largest = 0;
  drawn.forEach(({ scene: { background, things }, random }, row) => {
    const numbers = [...random];
    const lanes = assignLanes(world, things);
    const poses = things.map((thing, i) =>
      posesOf(world, thing, lanes[i], clipFrames, () => numbers.shift() as number),
    );
    expect(numbers).toEqual([]);
    frames.forEach((frame, column) => {
      const sprites = things.map(({ shape, colour }, i) => ({
        shape,
        colour: world.colours[colour]!,
        pose: poses[i]![frame]!,
      }));
      const picture = renderFrame(world.backgrounds[background]!, sprites, size);
      picture.forEach((value, position) => {
        const line = row * size + Math.floor(position / (3 * size));
        const at = (line * frames.length + column) * 3 * size + (position % (3 * size));
        largest = Math.max(largest, Math.abs(value - expected[at]!));
      });
    });
  });
  // Python computes in float32.
  expect(largest).toBeLessThanOrEqual(1);
});

test("held-out scenes and captions are the same as Python's", () => {
  const told = cases.told.map(({ scene }) => ({
    scene,
    heldOut: isHeldOut(world, scene),
    caption: plainCaption(world, scene),
  }));
  expect(told).toEqual(cases.told);
  expect(told.filter(({ heldOut }) => heldOut).length).toBeGreaterThan(50);
});

test('unseen scenes are held out, valid and determined by the seed', () => {
  const draw = (seed: string) => {
    const random = seededRandom(seed);
    return Array.from({ length: 300 }, () => unseenScene(world, random));
  };
  const scenes = draw('a');
  expect(draw('a')).toEqual(scenes);
  expect(draw('b')).not.toEqual(scenes);
  for (const scene of scenes) {
    expect(isHeldOut(world, scene)).toBe(true);
    for (const { colour, shape, motion } of scene.things) {
      const [a, b] = [world.colours[colour]!, world.backgrounds[scene.background]!];
      expect(Math.hypot(a[0] - b[0], a[1] - b[1], a[2] - b[2])).toBeGreaterThanOrEqual(world.minContrast);
      expect(motion === 'spinning' && world.roundShapes.includes(shape)).toBe(false);
    }
  }
  expect(new Set(scenes.flatMap(({ things }) => things.map(({ motion }) => motion))).size).toBe(14);
});

test('two things never meet', () => {
  const random = seededRandom('pairs');
  const pairs = { ...world, pairs: { ...world.pairs, share: 1 } };
  const gaps = Array.from({ length: 200 }, () => {
    const { things } = unseenScene(pairs, random);
    const lanes = assignLanes(world, things);
    const [a, b] = things.map((thing, index) => posesOf(world, thing, lanes[index], 57, random)) as [Pose[], Pose[]];
    return Math.min(...a.map((pose, frame) => distance(pose, b[frame]!) - pose.radius - b[frame]!.radius));
  });
  expect(Math.min(...gaps)).toBeGreaterThan(0.05);
});

function distance(a: Pose, b: Pose): number {
  return Math.hypot(a.x - b.x, a.y - b.y);
}

test("nano's world can be read; other presets have none", () => {
  expect(Object.keys(loadWorld(loadPreset('nano')).colours)).toContain('red');
  expect(() => loadWorld(loadPreset('kandinsky-video-1.0'))).toThrow(
    /^`preset` must be a preset trained on drawn scenes: nano, .*nano-masked-frames.* \(got "kandinsky-video-1.0"\)$/,
  );
});

test('an invalid world file is reported with its faults', () => {
  const nano = loadPreset('nano');
  expect(() => loadWorld({ ...nano, world: join(fixtures, 'cases.json') })).toThrow(
    /does not describe a world: `colours` must be an object/,
  );
});
