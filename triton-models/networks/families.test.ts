import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from '@jest/globals';
import { packageRoot } from '../../services/kit/package-root.ts';
import { familyOf } from './architectures.ts';

const goldens = join(packageRoot, 'test', 'fixtures', 'goldens');

const prefixes = {
  't5-': 't5',
  'keyframe-unet-': 'unet',
  'interpolation-unet-': 'unet',
  'nano-keyframes': 'unet',
  'movq-': 'movq',
  'nano-movq': 'movq',
  'metrics-lpips-': 'lpips',
  'metrics-clip': 'clip',
  'metrics-i3d': 'i3d',
  'metrics-c3d': 'c3d',
} as const;

const cases = readdirSync(goldens).flatMap((name) => {
  const [, family] = Object.entries(prefixes).find(([prefix]) => name.startsWith(prefix)) ?? [];
  return family ? [{ name, family }] : [];
});

test.each(cases)('the constructor arguments of $name are those of $family', ({ name, family }) => {
  const { constructor: given } = JSON.parse(readFileSync(join(goldens, name, 'config.json'), 'utf8'));
  expect(familyOf(given)).toBe(family);
  // One wrong argument more, or one less.
  expect(familyOf({ ...given, colour: 1 })).toBe(family);
  if (Object.keys(given).length > 1) {
    expect(familyOf(Object.fromEntries(Object.entries(given).slice(1)))).toBe(family);
  }
});

test('arguments that no network knows have no kind', () => {
  expect(familyOf({})).toBeUndefined();
  expect(familyOf({ colour: 1 })).toBeUndefined();
});
