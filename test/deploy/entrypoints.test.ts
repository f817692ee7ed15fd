import { execFile, spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { readdir, readFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import { isBuiltin } from 'node:module';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { newSecret } from '../../gateway/keys/api-key.ts';
import { stopTestServer, withData } from '../../gateway/testing/data.ts';
import { packageRoot } from '../../services/kit/package-root.ts';
import { loadPreset } from '../../services/pipeline/preset.ts';
import { stageNames } from '../../services/pipeline/stages.ts';
import { callCli } from '../support/cli.ts';
import { tinyPreset } from '../support/tiny-preset.ts';
import { asManifests, readCompose } from './compose.ts';
import { DeployedMesh } from './deployed-mesh.ts';
import { Image } from './image.ts';

let image: Image;
beforeAll(async () => {
  image = await Image.build();
});
afterAll(async () => {
  await image.remove();
  await stopTestServer();
});

test('the image needs no development packages', async () => {
  const dist = join(image.folder, 'app', 'dist');
  const files = (await readdir(dist, { recursive: true })).filter((file) => file.endsWith('.js'));
  const sources = await Promise.all(files.map((file) => readFile(join(dist, file), 'utf8')));
  const imported = new Set(
    sources.flatMap((source) =>
      [...source.matchAll(/\b(?:from|import\() ?'((?:@[\w.-]+\/)?[a-z][\w.-]*)(?:\/[^']*)?'/g)].map(
        ([, name]) => name!,
      ),
    ),
  );
  expect(imported).toContain('@grpc/grpc-js');
  const { dependencies, optionalDependencies } = JSON.parse(
    await readFile(join(image.folder, 'app', 'package.json'), 'utf8'),
  );
  const installed = { ...dependencies, ...optionalDependencies };
  expect([...imported].filter((name) => !(name in installed) && !isBuiltin(name))).toEqual([]);
});

test('without arguments it prints its help', async () => {
  const dockerfile = await readFile(join(packageRoot, 'deploy', 'Dockerfile'), 'utf8');
  const command = JSON.parse(/^CMD (.+)$/m.exec(dockerfile)![1]!) as string[];
  await image.start(command, {}).serving;
});

test('the image contains all files of nano', () => {
  const nano = loadPreset(join(image.folder, 'app', 'triton-models', 'presets', 'nano.json'));
  const named = [...Object.values(nano.weights), nano.textEncoder.tokenizer];
  expect(named.filter((path) => !existsSync(join(nano.folder, path)))).toEqual([]);
});

test("compose's containers make a video, as processes on one machine", () =>
  withData(async ({ database }) => {
    const key = newSecret().text;
    const mesh = await DeployedMesh.create(
      image,
      asManifests(readCompose('compose.yaml')),
      new Map([['compose', { 'database-url': database.url, 'api-key': key }]]),
    );
    expect(mesh.names).toEqual([...stageNames, 'gateway', 'inference', 'models'].sort());
    await (await mesh.start('models')).serving;
    const running = await Promise.all(['inference', ...stageNames, 'gateway'].map((name) => mesh.start(name)));
    await Promise.all(running.map(({ serving }) => serving));
    // A stage's is the same.
    for (const name of ['inference', 'keyframes', 'gateway']) {
      expect({ name, ...checkHealth(name, mesh.monitor(name)) }).toMatchObject({ name, status: 0 });
    }
    const video = join(image.folder, 'compose.mp4');
    const make = ['generate', 'a red circle', '--seed', '7', '--steps', '1', '--interpolation-steps', '1', '--output'];
    const options = ['--address', mesh.address('gateway', 50050)];
    await image.start([...make, video, ...options], { FUSIONFRAMES_API_KEY: key }).serving;
    // The whole mesh in one process makes the same video.
    const alone = join(image.folder, 'alone.mp4');
    expect(await callCli([...make, alone, '--preset', tinyPreset])).toMatchObject({ code: 0 });
    expect((await readFile(video)).equals(await readFile(alone))).toBe(true);
    const [job] = await database.sql`select state from jobs`;
    expect(job).toEqual({ state: 'succeeded' });
    if (process.platform === 'linux') {
      const { pid } = running.at(-1)!.child;
      const [visible, environment] = await Promise.all(
        ['cmdline', 'environ'].map((name) => readFile(`/proc/${pid}/${name}`, 'utf8')),
      );
      expect(visible).toContain('gateway');
      expect(visible! + environment).not.toContain(database.url);
      expect(visible! + environment).not.toContain(key);
    }
    for (const each of running.reverse()) {
      expect(await each.stop()).toBe(0);
    }
  }));

test('a health check fails without a ready service', async () => {
  const server = createServer((_, response) => void response.writeHead(503).end());
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const [command, ...args] = healthCheckOf('gateway', address);
  const checked = promisify(execFile)(command!, args);
  await expect(checked).rejects.toMatchObject({ code: 1 });
  await new Promise((resolve) => server.close(resolve));
  expect(checkHealth('gateway', address)).toMatchObject({ status: 1 });
});

/** The command of a service's health check, of an address on this machine. */
function healthCheckOf(name: string, address: string): string[] {
  const [kind, ...command] = readCompose('compose.yaml').services[name]!.healthcheck!.test;
  expect(kind).toBe('CMD');
  return command.map((word) => word.replace('127.0.0.1/9464', new URL(address).host.replace(':', '/')));
}

function checkHealth(name: string, address: string) {
  const [command, ...args] = healthCheckOf(name, address);
  return spawnSync(command!, args, { encoding: 'utf8' });
}
