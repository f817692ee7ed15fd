import { createHash } from 'node:crypto';
import { readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from '@jest/globals';
import { eventually } from '../../../test/support/cli.ts';
import { withTemporaryFolder } from '../../kit/testing/temporary-folder.ts';
import { contentHash } from '../../pipeline/model-manifest.ts';
import { tensor } from '../../pipeline/tensor.ts';
import { startModels } from '../../triton/testing.ts';
import { onnxModel } from '../testing.ts';

const graph = (operator: string) => onnxModel([[operator, ['X'], ['Y']]], { X: [-1] }, { Y: [-1] });
const model = graph('Abs');
const sha256 = (bytes: Uint8Array) => createHash('sha256').update(bytes).digest('hex');
const files = { '1/model.onnx': { bytes: model.length, sha256: sha256(model) } };
const config = `backend: "onnxruntime" max_batch_size: 0
  input { name: "X" data_type: TYPE_FP32 dims: [ -1 ] } output { name: "Y" data_type: TYPE_FP32 dims: [ -1 ] }`;

/** What the model of a server that keeps graphs in this folder makes of −2. */
async function answer(optimizedFolder: string, whileServing = async () => {}): Promise<number> {
  const repository = {
    'a/1/model.onnx': model,
    'a/config.pbtxt': config,
    'a/manifest.json': JSON.stringify({ files }),
  };
  const { client, stop } = await startModels(repository, { optimizedFolder });
  try {
    const inputs = { X: tensor('float32', [1], Float32Array.of(-2)) };
    const { Y } = await client.infer({ model: 'a', inputs, signal: new AbortController().signal });
    await whileServing();
    return (Y!.data as Float32Array)[0]!;
  } finally {
    await stop();
  }
}

test('a server keeps the optimized graph and loads it at the next start, unless it has changed', () =>
  withTemporaryFolder(async (folder) => {
    const kept = async () => (await readdir(folder)).filter((name) => name.startsWith(contentHash(files)));
    const isWritten = async () => (await readdir(folder)).join() === (await kept())[0];
    expect(await answer(folder, () => eventually(isWritten))).toBe(2);

    const at = async (name: string) => join(folder, (await kept())[0]!, name);
    const written = await readFile(await at('model.onnx'));
    const sign = graph('Sign');
    await writeFile(await at('model.onnx'), sign);
    await writeFile(await at('written.json'), JSON.stringify({ 'model.onnx': sha256(sign) }));
    expect(await answer(folder)).toBe(-1);
    for (const damage of [graph('Neg'), 'damaged']) {
      await writeFile(await at('model.onnx'), damage);
      expect(await answer(folder, () => eventually(isWritten))).toBe(2);
      expect(await readFile(await at('model.onnx'))).toEqual(written);
    }
  }));
