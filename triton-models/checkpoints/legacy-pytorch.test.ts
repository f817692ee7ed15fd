import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { buffer } from 'node:stream/consumers';
import { expect, test } from '@jest/globals';
import { packageRoot } from '../../services/kit/package-root.ts';
import { temporaryFolder } from '../../services/kit/testing/temporary-folder.ts';
import { scopeOfAllTests } from '../../services/kit/testing/test-scope.ts';
import { openCheckpoint } from './open-checkpoint.ts';
import { tensorBytes } from './tensor-bytes.ts';

const fixtures = join(packageRoot, 'test', 'fixtures', 'torch');
const folder = temporaryFolder(scopeOfAllTests());

async function floatsOf(path: string, name: string): Promise<number[]> {
  const bytes = await buffer(tensorBytes((await openCheckpoint(path)).tensors.get(name)!));
  return [...new Float32Array(new Uint8Array(bytes).buffer)];
}

async function changed(name: string, change: (bytes: Buffer) => Buffer): Promise<string> {
  const path = join(folder, name);
  await writeFile(path, change(await readFile(join(fixtures, 'legacy.pt'))));
  return path;
}

test('a file of PyTorch before 1.6', async () => {
  const path = join(fixtures, 'legacy.pt');
  const { tensors } = await openCheckpoint(path);
  expect([...tensors].map(([name, { dataType, shape }]) => `${name} ${dataType} [${shape}]`)).toEqual([
    'weight F32 [6]',
  ]);
  expect(await floatsOf(path, 'weight')).toEqual([0, 1, 2, 3, 4, 5]);
});

test('the published linear layers of LPIPS, several storages: its weights are above zero', async () => {
  const path = join(fixtures, 'lpips-alex.pth');
  const { tensors } = await openCheckpoint(path);
  const widths = [64, 192, 384, 256, 256];
  expect([...tensors].map(([name, { shape }]) => `${name} [${shape}]`)).toEqual(
    widths.map((width, layer) => `lin${layer}.model.1.weight [1,${width},1,1]`),
  );
  for (const name of tensors.keys()) {
    const values = await floatsOf(path, name);
    expect(Math.min(...values)).toBeGreaterThanOrEqual(0);
    expect(Math.max(...values)).toBeLessThan(10);
  }
});

test.each<[string, (bytes: Buffer) => Buffer, RegExp]>([
  ['short.pt', (bytes) => bytes.subarray(0, -4), /storage \S+ of \d+ elements leaves the file of \d+ bytes: cut short/],
  ['pickle.pt', (bytes) => bytes.subarray(0, 200), /it ends after \d+ bytes, \d+ are announced: cut short/],
  [
    'protocol.pt',
    (bytes) => Buffer.concat([bytes.subarray(0, 18), Buffer.from([0xea]), bytes.subarray(19)]),
    /its protocol must be 1001 \(got 1002\)/,
  ],
])('%s is refused, naming the fault', async (name, change, fault) => {
  await expect(openCheckpoint(await changed(name, change))).rejects.toThrow(fault);
});
