import { readdir, readFile, stat } from 'node:fs/promises';
import { isBuiltin } from 'node:module';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { newSecret } from '../../gateway/keys/api-key.ts';
import { stopTestServer, withData } from '../../gateway/testing/data.ts';
import { packageRoot } from '../../services/kit/package-root.ts';
import { stageNames } from '../../services/pipeline/stages.ts';
import { DeployedMesh } from './deployed-mesh.ts';
import { Image } from './image.ts';
import { renderOverlay, whyNoKustomize } from './rendered.ts';

const whereRendered = whyNoKustomize() === undefined ? test : test.skip;

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
  const { dependencies } = JSON.parse(await readFile(join(image.folder, 'app', 'package.json'), 'utf8'));
  expect([...imported].filter((name) => !(name in dependencies) && !isBuiltin(name))).toEqual([]);
});

test('without arguments it prints its help', async () => {
  const dockerfile = await readFile(join(packageRoot, 'deploy', 'Dockerfile'), 'utf8');
  const command = JSON.parse(/^CMD (.+)$/m.exec(dockerfile)![1]!) as string[];
  await image.start(command, {}).serving;
});

whereRendered("the laptop overlay's containers make a video, as processes on one machine", () =>
  withData(async ({ database }) => {
    const key = newSecret().text;
    const secrets = new Map<string, Record<string, string>>([
      ['fusionframes-database', { url: `${database.url}\n` }],
      ['fusionframes-api-key', { key: `${key}\n` }],
    ]);
    const mesh = await DeployedMesh.create(image, renderOverlay('laptop'), secrets);
    expect(mesh.names).toEqual([...stageNames, 'gateway', 'inference', 'models'].sort());
    await (await mesh.start('models')).serving;
    const running = await Promise.all(['inference', ...stageNames, 'gateway'].map((name) => mesh.start(name)));
    await Promise.all(running.map(({ serving }) => serving));
    const video = join(image.folder, 'video.mp4');
    const options = ['--address', mesh.address('gateway', 50050), '--steps', '2', '--fps', 'low', '--output', video];
    await image.start(['generate', 'a red circle', ...options], { FUSIONFRAMES_API_KEY: key }).serving;
    expect((await stat(video)).size).toBeGreaterThan(1000);
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
  }),
);
