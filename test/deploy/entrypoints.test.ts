import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { DeployedMesh } from './deployed-mesh.ts';
import { Image } from './image.ts';
import { renderOverlay, whyNoKustomize } from './rendered.ts';

const whereRendered = whyNoKustomize() === undefined ? test : test.skip;

let image: Image;
beforeAll(async () => {
  image = await Image.create();
});
afterAll(() => image.remove());

whereRendered(
  "the laptop overlay's containers make a video, as processes on one machine",
  async () => {
    const mesh = await DeployedMesh.create(image, renderOverlay('laptop'));
    const stages = ['text-encoder', 'keyframes', 'interpolation', 'decoder'];
    expect(mesh.names).toEqual([...stages, 'gateway', 'inference', 'models'].sort());
    await (await mesh.start('models')).serving;
    const running = await Promise.all(['inference', ...stages, 'gateway'].map((name) => mesh.start(name)));
    await Promise.all(running.map(({ serving }) => serving));
    const video = join(image.folder, 'video.mp4');
    const options = ['--address', mesh.address('gateway', 50050), '--steps', '2', '--fps', 'low', '--output', video];
    await image.start(['generate', 'a red circle', ...options], {}).serving;
    expect((await stat(video)).size).toBeGreaterThan(1000);
    for (const each of running.reverse()) {
      expect(await each.stop()).toBe(0);
    }
  },
  300_000,
);
