import { execFileSync } from 'node:child_process';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { beforeEach, expect, test } from '@jest/globals';
import { packageRoot } from '../../services/kit/package-root.ts';
import { temporaryFolder } from '../../services/kit/testing/temporary-folder.ts';
import { scopeOfEachTest } from '../../services/kit/testing/test-scope.ts';
import { openCheckpoint } from './open-checkpoint.ts';
import { writeSafetensors } from './safetensors-writer.ts';
import { TorchFile } from './testing/torch-file.ts';

const scope = scopeOfEachTest();
let folder: string;
beforeEach(() => {
  folder = temporaryFolder(scope);
});

const bytes = new Uint8Array(8);
const writeShard = (name: string, ...tensors: string[]) =>
  writeSafetensors(
    join(folder, name),
    new Map(tensors.map((each) => [each, { dataType: 'F32', shape: [2] }])),
    () => bytes,
  );
const writeTorch = (name: string, ...tensors: string[]) => {
  const torch = new TorchFile();
  const entries = tensors.map((each) => [each, torch.tensor(torch.storage('F16', bytes), [4])] as const);
  return torch.write(join(folder, name), new Map(entries));
};
const writeIndex = (name: string, map: unknown) =>
  writeFile(join(folder, name), typeof map === 'string' ? map : JSON.stringify({ metadata: {}, weight_map: map }));
const names = async (path: string, wants: (name: string) => boolean = () => true) => [
  ...(await openCheckpoint(join(folder, path), () => wants)).tensors.keys(),
];

/** The header of a file in a tar archive from before POSIX. */
function v7Tar(): Buffer {
  const header = Buffer.alloc(512);
  header.write('weights.pt');
  header.write('        ', 148);
  header.write(
    `${header
      .reduce((sum, byte) => sum + byte, 0)
      .toString(8)
      .padStart(6, '0')}\0 `,
    148,
  );
  return header;
}

test('a single file of either format, recognised by its content', async () => {
  await writeShard('a.safetensors', 'a');
  await writeTorch('b.pt', 'b');
  await writeTorch('c', 'c');
  expect(await names('a.safetensors')).toEqual(['a']);
  expect(await names('b.pt')).toEqual(['b']);
  expect(await names('c')).toEqual(['c']);
});

test('a folder of shards, safetensors before PyTorch files', async () => {
  await writeTorch('pytorch_model-00001-of-00002.bin', 'b', 'a');
  await writeTorch('pytorch_model-00002-of-00002.bin', 'c');
  const shards = { a: 'pytorch_model-00001-of-00002.bin', b: 'pytorch_model-00001-of-00002.bin' };
  await writeIndex('pytorch_model.bin.index.json', { ...shards, c: 'pytorch_model-00002-of-00002.bin' });
  expect(await names('.')).toEqual(['a', 'b', 'c']);
  await writeShard('x.safetensors', 'x', 'not in the index');
  await writeIndex('model.safetensors.index.json', { x: 'x.safetensors' });
  expect(await names('.')).toEqual(['x']);
});

test('shards without needed tensors may be missing', async () => {
  await writeShard('1.safetensors', 'encoder.a');
  await writeIndex('model.safetensors.index.json', { 'encoder.a': '1.safetensors', 'decoder.a': '2.safetensors' });
  expect(await names('.', (name) => name.startsWith('encoder.'))).toEqual(['encoder.a']);
});

test('all missing shards are named', async () => {
  await writeShard('2.safetensors', 'b');
  await writeIndex('model.safetensors.index.json', { a: '1.safetensors', b: '2.safetensors', c: '3.safetensors' });
  await expect(names('.')).rejects.toThrow(
    /2 of the 3 files that .*model\.safetensors\.index\.json names are missing: 1\.safetensors, 3\.safetensors/,
  );
});

test('a shard that lacks a tensor listed in the index', async () => {
  await writeShard('1.safetensors', 'a');
  await writeIndex('model.safetensors.index.json', { a: '1.safetensors', b: '1.safetensors', c: '1.safetensors' });
  await expect(names('.')).rejects.toThrow('b is not in 1.safetensors; c is not in 1.safetensors');
});

test.each([
  ['{', 'JSON'],
  ['{}', 'weight_map'],
  ['{"weight_map": {"a": 3}}', 'weight_map.a'],
  ['{"weight_map": {"a": "../../etc/passwd"}}', '`weight_map.a` must be the name of a file in the same folder'],
])('an index %s is refused', async (text, message) => {
  await writeIndex('model.safetensors.index.json', text);
  await expect(names('.')).rejects.toThrow(message);
});

test('a folder without a checkpoint, a path without a file', async () => {
  await mkdir(join(folder, 'empty'));
  await expect(names('empty')).rejects.toThrow(/the folder .*empty contains none of model\.safetensors\.index\.json, /);
  await expect(names('none.pt')).rejects.toThrow(/file .*none\.pt not found/);
});

test('the content counts, not the name', async () => {
  await writeShard('a.pt', 'a');
  await writeTorch('b.safetensors', 'b');
  expect(await names('a.pt')).toEqual(['a']);
  expect(await names('b.safetensors')).toEqual(['b']);
});

test.each<[string, string | Buffer, string]>([
  ['page.pt', '<html>404</html>', 'it is a web page or XML'],
  ['page.safetensors', '\n<!DOCTYPE html>', 'it is a web page or XML'],
  ['denied.bin', '<?xml version="1.0"?><Error/>', 'it is a web page or XML'],
  ['old.pt', Buffer.from('\x80\x02}.', 'latin1'), 'it is a bare pickle, not a file of torch.save()'],
  [
    'older.pt',
    Buffer.concat([Buffer.alloc(257), Buffer.from('ustar\x0000'), Buffer.alloc(248)]),
    'it is a tar archive',
  ],
  ['packed.pt', Buffer.from([0x1f, 0x8b, 8, 0]), 'it is compressed: unpack it'],
  ['v7.pt', v7Tar(), 'it is a tar archive'],
  ['text-pickle.pt', "(dp0\nS'w'\np1\nI1\ns.", 'it is a bare pickle'],
  ['text-dictionary.pt', 'ccollections\nOrderedDict\np0\n(tRp1\n.', 'it is a bare pickle'],
  ['packed.lz4', Buffer.from([0x04, 0x22, 0x4d, 0x18, 0x64]), 'it is compressed: unpack it'],
  ['packed.rar', 'Rar!\x1a\x07\x01\x00', 'it is compressed: unpack it'],
  ['model.onnx', Buffer.from('\x08\x08\x12\x07pytorch', 'latin1'), 'it is an ONNX model'],
  ['marked-page.pt', '\ufeff<!DOCTYPE html>', 'it is a web page or XML'],
  ['annex.pt', '/annex/objects/SHA256E-s10--abc.pt\n', 'it is a git-annex pointer'],
  ['missing.pt', 'Entry not found', 'it is text: "Entry not found"; safetensors or a PyTorch file is needed'],
  ['gated.pt', 'Access to model é/m is restricted.\nLog in.', 'it is text: "Access to model é/m is restricted.";'],
  ['cut-character.pt', `${'a'.repeat(511)}é`, `it is text: "${'a'.repeat(80)}";`],
  ['array.pt', Buffer.from('\x93NUMPY\x01', 'latin1'), 'it is a NumPy array'],
  ['index.pt', '{"weight_map": {}}', 'it is JSON'],
  ['empty.pt', '', 'it is empty'],
  ['noise.pt', Buffer.from([1, 2, 3, 4]), 'it starts like neither safetensors nor a PyTorch file (bytes 01020304)'],
])('%s: %j is told apart', async (name, content, fault) => {
  await writeFile(join(folder, name), content);
  await expect(names(name)).rejects.toThrow(`${join(folder, name)} is not a valid checkpoint: ${fault}`);
});

test.each([
  ['cut short in its header', 35_615n, '35615'],
  ['of an impossible header', 2n ** 63n, '9223372036854775808'],
])('a safetensors file %s is reported as one', async (_, length, announced) => {
  const start = Buffer.alloc(8);
  start.writeBigUInt64LE(length);
  await writeFile(join(folder, 'a.safetensors'), Buffer.concat([start, Buffer.from('{"w":{"dtype":')]));
  await expect(names('a.safetensors')).rejects.toThrow(
    `${join(folder, 'a.safetensors')} is not a valid safetensors file: it announces a header of ${announced} bytes in a file of 22: cut short`,
  );
});

test('a Git LFS pointer in place of the weights', async () => {
  const path = join(packageRoot, 'test', 'fixtures', 'checkpoints', 'lfs.safetensors');
  await expect(openCheckpoint(path)).rejects.toThrow(
    `${path} is not a valid checkpoint: it is a Git LFS pointer, not the file itself: fetch the file with 'git lfs pull'`,
  );
});

test('an index of a hundred thousand tensors in one shard', async () => {
  await writeShard('model.safetensors', 'layer.0');
  const all = Array.from({ length: 100_000 }, (_, index) => [`layer.${index}`, 'model.safetensors'] as const);
  await writeIndex('model.safetensors.index.json', Object.fromEntries(all));
  expect(await names('', (name) => name === 'layer.0')).toEqual(['layer.0']);
  await expect(names('')).rejects.toThrow(/ layer\.1 is not in model\.safetensors; .*…$/);
});

test('a pipe, which would never have its first byte', async () => {
  execFileSync('mkfifo', [join(folder, 'model.safetensors')]);
  for (const path of ['', 'model.safetensors']) {
    await expect(names(path)).rejects.toThrow(
      `${join(folder, 'model.safetensors')} can't be read: it is not a regular file`,
    );
  }
});
