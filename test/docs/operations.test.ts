import { existsSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { expect, test } from '@jest/globals';
import { parse } from 'yaml';
import { packageRoot } from '../../services/kit/package-root.ts';
import { callCli } from '../support/cli.ts';

const read = (path: string) => readFileSync(join(packageRoot, path), 'utf8');
const operations = read('docs/operations.md');
const headings = (text: string) =>
  [...text.matchAll(/^#+ (.*)$/gm)].map(([, heading]) =>
    heading!
      .toLowerCase()
      .replace(/[^\w -]/g, '')
      .replaceAll(' ', '-'),
  );

test('every link leads to a file, and to a heading of it', () => {
  const links = [...operations.matchAll(/\]\(([^)]+)\)/g)].map(([, link]) => link!);
  expect(links.length).toBeGreaterThan(10);
  const broken = links.filter((link) => {
    const [path = '', heading] = link.split('#');
    const file = path === '' ? 'docs/operations.md' : join(dirname('docs/operations.md'), path);
    return !existsSync(join(packageRoot, file)) || (heading !== undefined && !headings(read(file)).includes(heading));
  });
  expect(broken).toEqual([]);
});

test('every alert is there, with its runbook', () => {
  const { groups } = parse(read('deploy/observability/alerts.yaml')) as {
    groups: { rules: { alert: string; annotations: { runbook: string } }[] }[];
  };
  const rules = groups.flatMap((group) => group.rules);
  const alerts = rules.map(({ alert }) => alert);
  for (const { alert, annotations } of rules) {
    expect(annotations.runbook).toBe(`deploy/observability/runbooks.md#${alert.toLowerCase()}`);
  }
  const told = [...operations.matchAll(/^\| \[(\w+)\]\(\S+runbooks\.md#(\w+)\)/gm)];
  expect(told.map(([, alert]) => alert).sort()).toEqual(alerts.sort());
  expect(told.filter(([, alert, anchor]) => alert!.toLowerCase() !== anchor)).toEqual([]);
});

test('every setting that it names exists', () => {
  const settings = read('docs/settings.md');
  const named = [...new Set(operations.match(/\b(?:FUSIONFRAMES_[A-Z_]*[A-Z]|DATABASE_URL)\b/g))];
  expect(named.length).toBeGreaterThan(4);
  expect(named.filter((name) => !settings.includes(`\`${name}\``))).toEqual([]);
});

test('every command and option of the program that it names exists', async () => {
  const lines = operations
    .replaceAll('\\\n', ' ')
    .matchAll(/(?:(?<!--namespace )fusionframes|main\.js) ((?:[a-z]+ ?)+)([^`\n]*)/g);
  const named = [...lines].map(([, command, rest]) => ({ words: command!.trim().split(' '), rest: rest! }));
  expect(named.length).toBeGreaterThan(6);
  const helps = new Map<string, string>();
  for (const { words, rest } of named) {
    // Anything that is not a subcommand is an argument.
    const command = words.slice(0, 2).join(' ');
    const help = helps.get(command) ?? (await callCli([...command.split(' '), '--help'])).stdout;
    helps.set(command, help);
    expect(help).toContain(`Usage: fusionframes ${words[0]}`);
    expect((rest.match(/--[a-z][a-z-]*/g) ?? []).filter((option) => !help.includes(option))).toEqual([]);
  }
});
