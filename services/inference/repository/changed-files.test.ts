import { createHash } from 'node:crypto';
import { cpSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from '@jest/globals';
import { Status } from 'nice-grpc-common';
import { eventually } from '../../../test/support/cli.ts';
import { scopeOfEachTest } from '../../kit/testing/test-scope.ts';
import type { InferenceServerOptions } from '../server.ts';
import { doubling, infer, slowFiles, startTestInference } from '../testing/test-inference.ts';
import { doublingModel, slowModel } from '../testing.ts';

const scope = scopeOfEachTest();
const start = (files: Record<string, string | Uint8Array>, options: Partial<InferenceServerOptions> = {}) =>
  startTestInference(scope, files, options);

test('a model that is still being built is not loaded', async () => {
  const { client } = await start({ ...doubling(''), '.building-x/1/model.onnx': 'incomplete' });
  expect((await client.repositoryIndex({})).models.map(({ name }) => name)).toEqual(['m']);
});

test('with polling, versions follow the folder, and failures stay in the index', async () => {
  const { client, folder } = await start(doubling(''), { modelControl: 'poll', pollSeconds: 0.05, exitOnError: false });
  const path = (...names: string[]) => join(folder, 'm', ...names);
  const index = async () =>
    (await client.repositoryIndex({})).models.map(({ name, version, state }) => `${name} ${version} ${state}`);
  cpSync(path('1'), path('2'), { recursive: true });
  await eventually(async () => (await index()).includes('m 2 READY'));
  await eventually(async () => (await index()).includes('m 1 UNAVAILABLE'));
  cpSync(path('1'), join(folder, 'bad', '1'), { recursive: true });
  writeFileSync(join(folder, 'bad', '1', 'model.onnx'), 'not a model');
  await eventually(async () => (await index()).includes('bad 1 UNAVAILABLE'));
  cpSync(join(folder, 'bad', '1'), path('3'), { recursive: true });
  await eventually(async () => (await index()).includes('m 3 UNAVAILABLE'));
  rmSync(path('3'), { recursive: true });
  await eventually(async () => !(await index()).includes('m 3 UNAVAILABLE'));
  expect(await index()).toContain('m 2 READY');
  expect((await client.serverReady({})).ready).toBe(false);
  rmSync(join(folder, 'm'), { recursive: true });
  await eventually(async () => (await index()).join() === 'bad 1 UNAVAILABLE');
  // The index lists the folder; the model itself goes with the next poll.
  await eventually(() =>
    client.modelReady({ name: 'm' }).then(
      () => false,
      ({ code }) => code === Status.NOT_FOUND,
    ),
  );
  rmSync(join(folder, 'bad'), { recursive: true });
  await eventually(async () => (await client.serverReady({})).ready);
  await expect(client.repositoryModelLoad({ modelName: 'm' })).rejects.toMatchObject({ code: Status.UNAVAILABLE });
});

describe('a model with a manifest', () => {
  const listing = (files: Record<string, Uint8Array>) =>
    JSON.stringify({
      files: Object.fromEntries(
        Object.entries(files).map(([name, content]) => [name, { bytes: content.length, sha256: sha256Of(content) }]),
      ),
    });

  test('is served only as built', async () => {
    const files = { 'model/1/model.onnx': doublingModel() };
    const manifest = listing({ '1/model.onnx': doublingModel() });
    const { client, folder } = await start({ ...files, 'model/manifest.json': manifest }, { modelControl: 'explicit' });
    await client.repositoryModelLoad({ modelName: 'model' });
    await client.repositoryModelUnload({ modelName: 'model' });
    writeFileSync(join(folder, 'model', '1', 'model.onnx'), slowModel(1));
    await expect(client.repositoryModelLoad({ modelName: 'model' })).rejects.toMatchObject({
      message: expect.stringMatching(
        /1\/model\.onnx is not what manifest\.json says: sha256 [0-9a-f]{64} expected, [0-9a-f]{64} found; rebuild the model/,
      ),
    });
  });

  test.each([
    [
      'that lists a file which is missing',
      listing({ '1/weights.safetensors': Uint8Array.of(1) }),
      /1\/weights.*no such file/,
    ],
    [
      'that is cut off',
      '{"files": {"1/mod',
      /its manifest can't be read: \S+\/model\/manifest\.json is damaged: .*JSON/,
    ],
    [
      'with a damaged hash',
      listing({ '1/model.onnx': slowModel(1) }).replace(/"sha256":"./, '"sha256":"g'),
      /model\/manifest\.json is damaged: `files\.1\/model\.onnx\.sha256` must be 64 lowercase hexadecimal digits \(got "g[0-9a-f]+/,
    ],
    [
      'with a damaged list',
      '{"sources": "0a", "fjles": {}}',
      /model\/manifest\.json is damaged: `files` must be an object/,
    ],
  ])('%s is refused at the start', async (_, manifest, fault) => {
    const files = { 'model/1/model.onnx': doublingModel(), 'model/manifest.json': manifest };
    await expect(start(files)).rejects.toMatchObject({ message: expect.stringMatching(fault) });
  });

  test('that lists a file elsewhere does not tell its hash', async () => {
    const files = { 'model/1/model.onnx': doublingModel(), secret: 'of the host' };
    const manifest = listing({ '1/../../secret': Uint8Array.of(1) });
    await expect(start({ ...files, 'model/manifest.json': manifest })).rejects.toThrow(
      "manifest.json: '1/../../secret' must stay within the model's folder",
    );
  });

  test('of another program is served', async () => {
    const { client } = await start({
      'list/1/model.onnx': doublingModel(),
      'list/manifest.json': '{"files": ["a"]}',
      'links/1/model.onnx': doublingModel(),
      'links/manifest.json': '{"files": {"a": "b"}, "sources": ["c"]}',
    });
    expect((await client.serverReady({})).ready).toBe(true);
  });
});

test('further instances are not opened from changed files: one model gives one answer', async () => {
  const { client, folder } = await start(slowFiles, { maxInstancesPerModel: 2 });
  writeFileSync(join(folder, 'slow', '1', 'model.onnx'), slowModel(1));
  const size = 64;
  const diagonal = Float32Array.from({ length: size * size }, (_, i) => (i % (size + 1) === 0 ? 1.01 : 0));
  const request = { ...infer('slow', [64n, 64n]), rawInputContents: [new Uint8Array(diagonal.buffer)] };
  const answers = await Promise.all([1, 2, 3].map(() => client.modelInfer(request)));
  expect(new Set(answers.map(({ rawOutputContents }) => sha256Of(rawOutputContents[0]!))).size).toBe(1);
  const { modelStats } = await client.modelStatistics({ name: 'slow' });
  expect(modelStats[0]).toMatchObject({ executionCount: 3n });
});

function sha256Of(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex');
}
