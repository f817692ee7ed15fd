import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from '@jest/globals';
import { packageRoot } from '../../services/kit/package-root.ts';
import { callCli } from '../support/cli.ts';

const readme = readFileSync(join(packageRoot, 'README.md'), 'utf8');
const { scripts } = JSON.parse(readFileSync(join(packageRoot, 'package.json'), 'utf8')) as {
  scripts: Record<string, string>;
};

test('every npm script that the README names exists', () => {
  const named = [...readme.matchAll(/npm run (?:--silent )?([\w:-]+)/g)].map(([, name]) => name as string);
  expect(named.length).toBeGreaterThan(5);
  expect(named.filter((name) => !(name in scripts))).toEqual([]);
});

test('every file and folder that the README names exists', () => {
  const named = [...readme.matchAll(/`((?:proto|services|gateway|deploy|triton-models|test|cli)\/[\w./-]*)`/g)];
  const links = [...readme.matchAll(/\]\((?!https?:)([^)#]+)\)/g)];
  const paths = [...named, ...links].map(([, path]) => path as string);
  expect(paths.length).toBeGreaterThan(3);
  expect(paths.filter((path) => !existsSync(join(packageRoot, path)))).toEqual([]);
});

test('every section that the README refers to exists', () => {
  const headings = [...readme.matchAll(/^#+ (.+)$/gm)].map(([, heading]) => heading as string);
  const anchors = headings.map((heading) =>
    heading
      .toLowerCase()
      .replace(/[^\p{L}\d\s-]/gu, '')
      .replaceAll(' ', '-'),
  );
  const named = [...readme.matchAll(/\]\(#([^)]+)\)/g)].map(([, anchor]) => anchor as string);
  expect(named.length).toBeGreaterThan(0);
  expect(named.filter((anchor) => !anchors.includes(anchor))).toEqual([]);
});

test('every option of generate is in the README, and no other', async () => {
  const { stdout } = await callCli(['generate', '--help']);
  const offered = new Set([...stdout.matchAll(/--[a-z][a-z-]*/g)].map(([option]) => option));
  offered.delete('--help');
  const section = readme.slice(readme.indexOf('`generate` takes'), readme.indexOf('## How it works'));
  const told = new Set([...section.matchAll(/--[a-z][a-z-]*/g)].map(([option]) => option));
  // npm's own.
  told.delete('--silent');
  expect([...told].sort()).toEqual([...offered].sort());
});
