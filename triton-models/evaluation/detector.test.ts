import { join } from 'node:path';
import { describe, expect, test } from '@jest/globals';
import { packageRoot } from '../../services/kit/package-root.ts';
import { loadPreset } from '../../services/pipeline/preset.ts';
import { unseenScene } from '../world/grammar.ts';
import { seededRandom } from '../world/random.ts';
import { loadWorld, type Scene, type World } from '../world/world.ts';
import { Detector } from './detector.ts';
import { judge } from './judge.ts';
import { renderTruth } from './rendered-truth.ts';
import { score } from './scores.ts';

const nano = loadPreset('nano');
const fullWorld = loadWorld({ ...nano, world: join(packageRoot, 'test/fixtures/world/full.json') });

function judgeTruth(world: World, count: number, frames: number, seed: string) {
  const random = seededRandom(seed);
  const detector = new Detector(world);
  return Array.from({ length: count }, () => {
    const scene = unseenScene(world, random);
    return judge(scene, detector.detect(renderTruth(world, scene, frames, 64, random)));
  });
}

const ofThings = (share: number): World => ({ ...fullWorld, pairs: { ...fullWorld.pairs, share } });

describe('drawn scenes are recognised', () => {
  test.each<[string, World, number, number]>([
    ["nano's world", loadWorld(nano), 57, 30],
    ["nano's world, keyframes alone", loadWorld(nano), 15, 60],
    ['every shape, motion and speed', ofThings(0), 15, 100],
    ['two things', ofThings(1), 15, 50],
  ])('%s', (_, world, frames, count) => {
    const verdicts = judgeTruth(world, count, frames, 'a');
    const { clips, right } = score(verdicts);
    const wrong = verdicts.filter(({ isRight }) => !isRight).map(({ scene, seen }) => ({ scene, seen }));
    const failing = Object.entries(right).filter(([, rightOnes]) => rightOnes < 0.98 * clips);
    expect({ failing, wrong: failing.length > 0 ? wrong : [] }).toEqual({ failing: [], wrong: [] });
  });
});

test('a wrong colour, a wrong direction, a surplus thing and a missing thing are recognised', () => {
  const [red, blue] = ['red', 'blue'].map((colour) => ({ colour, size: 'large', shape: 'square', speed: '' }));
  const left = { background: 'navy', things: [{ ...red!, motion: 'left' }] };
  const detector = new Detector(fullWorld);
  const judged = (things: Scene['things']) =>
    judge(left, detector.detect(renderTruth(fullWorld, { ...left, things }, 15, 64, () => 0.5)));
  const wrongOf = (things: Scene['things']) => {
    const { right, isRight } = judged(things);
    expect(isRight).toBe(Object.values(right).every(Boolean));
    return Object.keys(right).filter((trait) => !right[trait as keyof typeof right]);
  };
  expect(wrongOf(left.things)).toEqual([]);
  expect(wrongOf([{ ...blue!, motion: 'left' }])).toEqual(['colour']);
  expect(wrongOf([{ ...red!, motion: 'right' }])).toEqual(['motion']);
  expect(
    wrongOf([
      { ...red!, motion: 'left' },
      { ...blue!, motion: 'left' },
    ]),
  ).toContain('count');
  expect(wrongOf([])).toEqual(['count', 'colour', 'size', 'shape', 'motion']);
});
