import { existsSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { expect, test } from '@jest/globals';
import { packageRoot } from '../../services/kit/package-root.ts';
import { callCli } from '../support/cli.ts';
import { anchors, readDocument, readDocuments } from './documents.ts';

const documents = readDocuments();
const pages = documents.filter(({ path }) => path !== 'CHANGELOG.md');
const allText = pages.map(({ text }) => text).join('\n');
const { scripts } = JSON.parse(readDocument('package.json')) as { scripts: Record<string, string> };

test.each(documents)('every link of $path leads to an existing file and heading', ({ path, text }) => {
  const links = [...text.matchAll(/\]\((?!\w+:)([^)]+)\)/g)].map(([, link]) => link!);
  const broken = links.filter((link) => {
    const [target = '', anchor] = link.split('#');
    const file = target === '' ? path : join(dirname(path), target);
    return (
      !existsSync(join(packageRoot, file)) || (anchor !== undefined && !anchors(readDocument(file)).includes(anchor))
    );
  });
  expect(broken).toEqual([]);
});

test('every page is linked from the README or from a page it links to', () => {
  const linked = new Set<string>();
  const visit = (path: string) => {
    if (linked.has(path) || !path.endsWith('.md')) {
      return;
    }
    linked.add(path);
    for (const [, link] of readDocument(path).matchAll(/\]\((?!\w+:)([^)#]+)[^)]*\)/g)) {
      const target = join(dirname(path), link!);
      visit(existsSync(join(packageRoot, target, 'README.md')) ? join(target, 'README.md') : target);
    }
  };
  visit('README.md');
  expect(documents.map(({ path }) => path).filter((path) => !linked.has(path))).toEqual([]);
});

test('every npm script that the documents name exists', () => {
  const named = [...allText.matchAll(/npm run (?:--silent )?([a-z][\w:-]*)/g)].map(([, name]) => name!);
  expect(named.length).toBeGreaterThan(10);
  expect(named.filter((name) => !(name in scripts))).toEqual([]);
});

test('every file and folder of the repository that the documents name exists', () => {
  const rooms = 'cli|deploy|docs|examples|gateway|proto|services|test|triton-models';
  const paths = [...allText.matchAll(new RegExp(`\`((?:${rooms})/[\\w./-]*)\``, 'g'))].map(([, path]) => path!);
  expect(paths.length).toBeGreaterThan(20);
  // Written by a build or a script.
  const written = /^(proto\/gen|triton-models\/repository|deploy\/secrets)\//;
  expect(paths.filter((path) => !written.test(path) && !existsSync(join(packageRoot, path)))).toEqual([]);
});

test('every setting that the documents name exists', () => {
  const settings = readDocument('docs/settings.md');
  const named = new Set(allText.match(/\b(?:FUSIONFRAMES_[A-Z_]*[A-Z]|DATABASE_URL)\b/g));
  // Read by the examples, not by the program.
  named.delete('FUSIONFRAMES_URL');
  named.delete('FUSIONFRAMES_ADDRESS');
  const withoutFile = [...named].map((name) => name.replace(/_FILE$/, ''));
  expect(withoutFile.length).toBeGreaterThan(15);
  expect(withoutFile.filter((name) => !settings.includes(`\`${name}\``))).toEqual([]);
});

test('every command and option of the program that the documents name exists', async () => {
  const blocks = [...allText.matchAll(/^```sh\n(.*?)^```|`([^`\n]+)`/gms)].map(([, block, code]) => (block ?? code)!);
  const lines = blocks.flatMap((block) => block.replaceAll('\\\n', ' ').split('\n'));
  const named = lines.flatMap((line) => {
    const match =
      /(?:^|\s)(?:fusionframes|main\.js|npm run (?:--silent )?fusionframes --) ([a-z]+(?: [a-z]+)?)(.*)$/.exec(
        line.replaceAll('--namespace fusionframes', ''),
      );
    return match ? [{ command: match[1]!, rest: match[2]!.split(/ -- | #/)[0]! }] : [];
  });
  expect(named.length).toBeGreaterThan(20);
  const helps = new Map<string, string>();
  for (const { command, rest } of named) {
    // The second word is a subcommand or an argument.
    const help = helps.get(command) ?? (await callCli([...command.split(' '), '--help'])).stdout;
    helps.set(command, help);
    expect(help).toContain(`Usage: fusionframes ${command.split(' ')[0]}`);
    expect((rest.match(/--[a-z][a-z0-9-]*/g) ?? []).filter((option) => !help.includes(option))).toEqual([]);
  }
});

test('exactly the options of generate are documented, once each', async () => {
  const { stdout } = await callCli(['generate', '--help']);
  const offered = optionsIn(stdout).filter((option) => option !== '--help');
  const [, section] = /^## generate\n.*?(\n\| option .*?)\n\n/ms.exec(readDocument('docs/cli.md'))!;
  const firstCells = section!.match(/^\| .*?(?= \|)/gm)!.join('\n');
  const flags = readDocument('docs/video-options.md').match(/^\| `[^|]*\|[^|]*\|[^|]*/gm)!;
  const told = [...optionsIn(firstCells), ...new Set(optionsIn(flags.join('\n')))];
  expect(told.sort()).toEqual([...new Set(offered)].sort());
});

function optionsIn(text: string): string[] {
  return text.match(/--[a-z][a-z-]*/g) ?? [];
}
