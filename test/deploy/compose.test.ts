import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, test } from '@jest/globals';
import { parseKey } from '../../gateway/keys/api-key.ts';
import { packageRoot } from '../../services/kit/package-root.ts';
import { withTemporaryFolder } from '../../services/kit/testing/temporary-folder.ts';
import { loadPreset } from '../../services/pipeline/preset.ts';
import { stageNames } from '../../services/pipeline/stages.ts';
import { type ComposeService, readCompose } from './compose.ts';
import { expectSetting } from './settings.ts';

const script = join(packageRoot, 'deploy', 'make-secrets.sh');

describe.each([[['compose.yaml']], [['compose.yaml', 'compose.gpu.yaml']]])('%s', (names) => {
  const { services, volumes, secrets } = readCompose(...names);
  const ours = Object.entries(services).filter(([, { image }]) => image.startsWith('fusionframes:'));

  test('everything that services reference exists', () => {
    for (const [name, service] of Object.entries(services)) {
      const { depends_on = {}, volumes: mounts = [], secrets: held = [], environment = {} } = service;
      expect({ name, waits: Object.keys(depends_on).filter((other) => !(other in services)) }).toMatchObject({
        waits: [],
      });
      expect({ name, held: held.filter((secret) => !(secret in secrets)) }).toMatchObject({ held: [] });
      const sources = mounts.map((mount) => mount.replace(/\$\{[^}]*\}/, '$').split(':')[0]!);
      const missing = sources.filter((source) => !(source in volumes) && !/^\$/.test(source) && !existsIn(source));
      expect({ name, missing }).toMatchObject({ missing: [] });
      const addressed = Object.values(environment).flatMap(
        (value) => /^(?:dns:\/\/\/)?([a-z-]+):\d+$/.exec(value)?.[1] ?? [],
      );
      expect({ name, unknown: addressed.filter((host) => !(host in services)) }).toMatchObject({ unknown: [] });
    }
  });

  test('settings are valid and contain no secrets', () => {
    for (const [, { environment = {} }] of ours) {
      for (const [name, value] of Object.entries(environment)) {
        expectSetting(name, value);
      }
    }
    expect(JSON.stringify(services)).not.toMatch(/postgres:\/\/|PASSWORD"/);
  });

  test('our containers have no privileges and write only to mounts', () => {
    for (const [name, service] of ours) {
      expect({ name, ...service }).toMatchObject({
        read_only: true,
        cap_drop: ['ALL'],
        security_opt: ['no-new-privileges:true'],
      });
    }
  });

  test('our image is built once and never pulled', () => {
    const builds = Object.values(services).flatMap(({ build }) => build ?? []);
    expect(builds).toEqual([{ context: '..', dockerfile: 'deploy/Dockerfile' }]);
    const pulled = Object.entries(services).filter(([, { pull_policy }]) => pull_policy !== 'never');
    expect(pulled.map(([name]) => name).sort()).toEqual(
      Object.keys(services)
        .filter((name) => !ours.some(([own]) => own === name))
        .sort(),
    );
  });

  test('services that keep running have a health check, and all rotate their logs', () => {
    for (const [name, { restart, healthcheck, logging }] of Object.entries(services)) {
      expect({ name, isChecked: healthcheck !== undefined }).toEqual({ name, isChecked: restart !== 'no' });
      expect({ name, logging }).toEqual({
        name,
        logging: { driver: 'local', options: { 'max-size': '20m', 'max-file': '5' } },
      });
    }
  });

  test('the text encoder has the tokenizer of its preset', () => {
    const { environment = {}, volumes: mounts = [] } = services['text-encoder'] as ComposeService;
    const { tokenizer } = loadPreset(environment.FUSIONFRAMES_PRESET ?? 'nano').textEncoder;
    const given = environment.FUSIONFRAMES_TOKENIZER;
    expect(given !== undefined || tokenizer.startsWith('../weights/nano/')).toBe(true);
    expect(given === undefined || mounts.some((mount) => given.startsWith(`${mount.split(':').at(-2)}/`))).toBe(true);
  });
});

test('stages on a GPU wait until the numbers of its engines have been compared', () => {
  const { services } = readCompose('compose.yaml', 'compose.gpu.yaml');
  const { command, volumes, depends_on, restart } = services.models!;
  expect(command?.slice(0, 5)).toEqual(['models', 'verify', '/models', '--address', 'inference:8001']);
  expect([volumes, restart]).toEqual([services.inference!.volumes!.slice(0, 1), 'no']);
  expect([Object.keys(depends_on!), services.inference!.depends_on]).toEqual([['inference'], undefined]);
  for (const stage of stageNames) {
    expect(services[stage]!.depends_on).toMatchObject({
      inference: { condition: 'service_started' },
      models: { condition: 'service_completed_successfully' },
    });
  }
});

test('make-secrets.sh creates the referenced secrets, once', () =>
  withTemporaryFolder(async (folder) => {
    const make = () => expect(spawnSync('bash', [script, folder], { encoding: 'utf8' })).toMatchObject({ status: 0 });
    make();
    const read = (name: string) => readFile(join(folder, name), 'utf8');
    const [password, url] = [await read('database-password'), await read('database-url')];
    expect(password).toMatch(/^[0-9a-f]{48}$/);
    expect(url).toBe(`postgres://fusionframes:${password}@postgres:5432/fusionframes`);
    const key = await read('api-key');
    expect(parseKey(key)).toBeDefined();
    make();
    expect([await read('database-password'), await read('api-key')]).toEqual([password, key]);
    const named = Object.values(readCompose('compose.yaml').secrets).map(({ file }) => file);
    expect(named.sort()).toEqual(['secrets/api-key', 'secrets/database-password', 'secrets/database-url']);
  }));

function existsIn(path: string): boolean {
  return existsSync(join(packageRoot, 'deploy', path));
}
