import { readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { stopTestServer, withData } from '../../gateway/testing/data.ts';
import { DeployedMesh } from './deployed-mesh.ts';
import { Image } from './image.ts';
import { renderOverlay, whyNoKustomize } from './rendered.ts';

const whereRendered = whyNoKustomize() === undefined ? test : test.skip;

let image: Image;
beforeAll(async () => {
  image = await Image.create();
});
afterAll(async () => {
  await image.remove();
  await stopTestServer();
});

whereRendered(
  "the laptop overlay's containers make a video, as processes on one machine",
  () =>
    withData(async ({ database }) => {
      const secrets = new Map([['fusionframes-database', { url: `${database.url}\n` }]]);
      const mesh = await DeployedMesh.create(image, renderOverlay('laptop'), secrets);
      const stages = ['text-encoder', 'keyframes', 'interpolation', 'decoder'];
      expect(mesh.names).toEqual([...stages, 'gateway', 'inference', 'models'].sort());
      await (await mesh.start('models')).serving;
      const running = await Promise.all(['inference', ...stages, 'gateway'].map((name) => mesh.start(name)));
      await Promise.all(running.map(({ serving }) => serving));
      const video = join(image.folder, 'video.mp4');
      const options = ['--address', mesh.address('gateway', 50050), '--steps', '2', '--fps', 'low', '--output', video];
      await image.start(['generate', 'a red circle', ...options], {}).serving;
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
      }
      for (const each of running.reverse()) {
        expect(await each.stop()).toBe(0);
      }
    }),
  300_000,
);
