import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, test } from '@jest/globals';
import { packageRoot } from '../../services/kit/package-root.ts';
import { generatedFiles } from './generated-files.ts';
import { isAllowed, productionPackages } from './licences.ts';

const read = (path: string) => readFileSync(join(packageRoot, path), 'utf8');

test.each(Object.entries(generatedFiles))('%s is what `npm run docs` writes', (path, text) => {
  expect(read(path)).toBe(text());
});

test('the licence of every installed package was reviewed', () => {
  const packages = productionPackages();
  expect(packages.length).toBeGreaterThan(100);
  expect(packages.filter((each) => !isAllowed(each))).toEqual([]);
});

test.each([
  ['MIT', true],
  ['MIT OR GPL-3.0-only', true],
  ['MIT AND GPL-3.0-only', false],
  ['LGPL-3.0-or-later', false],
  ['', false],
])('licence %p of a new package: %p', (licence, allowed) => {
  expect(isAllowed({ name: 'new-package', version: '1.0.0', licence })).toBe(allowed);
});

test('the H.264 encoder contains x264 and x265, as the list says', () => {
  const binding = Object.keys(JSON.parse(read('package-lock.json')).packages)
    .map((path) => path.replace('node_modules/', ''))
    .filter((name) => name.startsWith('@napi-rs/webcodecs-'))
    .flatMap((name) => {
      try {
        return fileURLToPath(import.meta.resolve(name));
      } catch {
        // For another platform.
        return [];
      }
    });
  const library = readFileSync(binding[0]!);
  expect(['libx264', 'libx265'].filter((name) => library.includes(name))).toEqual(['libx264', 'libx265']);
});

test('the reference lists every variable that the code reads', () => {
  const reference = read('docs/settings.md');
  const sources = ['cli', 'gateway', 'services', 'triton-models'].flatMap((room) =>
    readdirSync(join(packageRoot, room), { recursive: true, encoding: 'utf8' })
      .filter((path) => path.endsWith('.ts') && !path.endsWith('.test.ts'))
      .map((path) => read(join(room, path))),
  );
  const names = new Set(sources.flatMap((source) => source.match(/\b(?:FUSIONFRAMES|HF|OTEL)_[A-Z_]*[A-Z]\b/g) ?? []));
  expect(names.size).toBeGreaterThan(40);
  expect([...names].filter((name) => !reference.includes(`\`${name}\``))).toEqual([]);
});
