import { readdir, readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from '@jest/globals';
import { parse } from 'yaml';
import { packageRoot } from '../../services/kit/package-root.ts';

interface Step {
  uses?: string;
  run?: string;
  with?: Record<string, unknown>;
}

interface Workflow {
  jobs: Record<string, { needs?: string; 'timeout-minutes'?: number; steps: Step[] }>;
}

const folder = join(packageRoot, '.github', 'workflows');
const texts = await Promise.all(
  (await readdir(folder)).map(async (name) => [name, await readFile(join(folder, name), 'utf8')] as const),
);

test.each(texts)('%s is bounded, needs no undocumented variables, and runs scripts that exist', async (_, text) => {
  const { jobs } = parse(text) as Workflow;
  const { scripts } = JSON.parse(await readFile(join(packageRoot, 'package.json'), 'utf8'));
  expect(text).not.toContain('vars.');
  for (const { needs, 'timeout-minutes': minutes, steps } of Object.values(jobs)) {
    expect(minutes).toBeGreaterThan(0);
    expect(needs === undefined || needs in jobs).toBe(true);
    expect(steps.filter(({ uses, run }) => (uses === undefined) === (run === undefined))).toEqual([]);
    const runs = steps.flatMap(({ run }) => run ?? []);
    expect(runs.flatMap((run) => /npm run (\S+)/.exec(run)?.[1] ?? []).filter((name) => !(name in scripts))).toEqual(
      [],
    );
    const programs = runs.flatMap((run) => /^(?:\.|deploy\/)\S+/.exec(run)?.[0] ?? []);
    for (const path of programs) {
      expect((await stat(join(packageRoot, path))).isFile()).toBe(true);
    }
  }
});

test('a release is tested before it is published, builds what it packs, and its image has a lower-case name', async () => {
  const text = new Map(texts).get('release.yaml')!;
  const { test: tested, ...publishing } = (parse(text) as Workflow).jobs;
  expect(tested!.steps.some(({ run }) => run === '.ci/run')).toBe(true);
  expect(Object.entries(publishing).map(([name, { needs }]) => [name, needs])).toEqual([
    ['package', 'test'],
    ['image', 'test'],
    ['manifests', 'image'],
  ]);
  const runs = publishing.package!.steps.flatMap(({ run }) => run ?? []);
  expect(runs.indexOf('npm run build')).toBeGreaterThan(runs.indexOf('npm ci'));
  expect(runs.findIndex((run) => run.startsWith('npm publish'))).toBeGreaterThan(runs.indexOf('npm run build'));
  // biome-ignore lint/suspicious/noTemplateCurlyInString: bash's lower case
  expect(publishing.image!.steps.map(({ run }) => run).join()).toContain('ghcr.io/${GITHUB_REPOSITORY,,}');
  expect(text).not.toMatch(/ghcr\.io\/\$\{\{/);
  const [pushed] = publishing.image!.steps.filter(({ uses }) => uses?.startsWith('docker/build-push-action@'));
  expect(pushed!.with).toMatchObject({ platforms: 'linux/amd64,linux/arm64', provenance: 'mode=max', sbom: true });
});
