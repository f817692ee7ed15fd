import { readFile, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { buffer } from 'node:stream/consumers';
import { describe, expect, test } from '@jest/globals';
import { packageRoot } from '../../services/kit/package-root.ts';
import { temporaryFolder } from '../../services/kit/testing/temporary-folder.ts';
import { scopeOfAllTests } from '../../services/kit/testing/test-scope.ts';
import type { Checkpoint } from './checkpoint.ts';
import { readPyTorch } from './pytorch.ts';
import { tensorBytes } from './tensor-bytes.ts';
import { Call, Global, Instance, pickle } from './testing/pickle-writer.ts';
import { TorchFile } from './testing/torch-file.ts';
import { writeZip } from './testing/zip-writer.ts';

const fixtures = join(packageRoot, 'test', 'fixtures', 'torch');

const folder = temporaryFolder(scopeOfAllTests());

async function floats(checkpoint: Checkpoint, name: string): Promise<number[]> {
  const bytes = await buffer(tensorBytes(checkpoint.tensors.get(name)!));
  return [...new Float32Array(new Uint8Array(bytes).buffer)];
}

describe.each(['nested.pt', 'nested-protocol-4.pt'])('%s, written by PyTorch itself', (file) => {
  test('names, types and shapes', async () => {
    const { tensors } = await readPyTorch(join(fixtures, file));
    expect([...tensors].map(([name, { dataType, shape }]) => `${name} ${dataType} [${shape}]`)).toEqual([
      'unet.half F16 [4,6]',
      'unet.brain BF16 [4,6]',
      'unet.transposed F32 [6,4]',
      'unet.shared F32 [4,6]',
      'unet.rows F32 [2,6]',
      'unet.columns F32 [4,2]',
      'unet.scalar F32 []',
      'unet.empty F32 [0,3]',
      'unet.expanded F32 [2,3]',
      'unet.steps I64 [3]',
      'null_embedding F32 [5]',
      'projections.t5.0.weight F32 [3,2]',
      'projections.t5.1.weight F32 [3]',
      'projections.t5.1.bias F32 [3]',
    ]);
    const strided = [...tensors].filter(([, { strides }]) => strides !== undefined).map(([name]) => name);
    expect(strided).toEqual(['unet.transposed', 'unet.columns', 'unet.expanded']);
  });

  test('values', async () => {
    const checkpoint = await readPyTorch(join(fixtures, file));
    const count = Array.from({ length: 24 }, (_, i) => i);
    expect(await floats(checkpoint, 'unet.shared')).toEqual(count);
    expect(await floats(checkpoint, 'unet.rows')).toEqual(count.slice(6, 18));
    expect(await floats(checkpoint, 'unet.transposed')).toEqual(count.map((i) => (i % 4) * 6 + Math.floor(i / 4)));
    expect(await floats(checkpoint, 'unet.columns')).toEqual([2, 3, 8, 9, 14, 15, 20, 21]);
    expect(await floats(checkpoint, 'unet.expanded')).toEqual([1, 1, 1, 2, 2, 2]);
    expect(await floats(checkpoint, 'unet.scalar')).toEqual([2.5]);
    expect(await floats(checkpoint, 'null_embedding')).toEqual([-1, -0.5, 0, 0.5, 1]);
    expect(await floats(checkpoint, 'projections.t5.0.weight')).toEqual([0, 1, 2, 3, 4, 5]);
    const half = await buffer(tensorBytes(checkpoint.tensors.get('unet.half')!));
    expect([0, 4, 20].map((i) => half.readUInt16LE(2 * i))).toEqual([0, 0x3c00, 0x4500]);
  });
});

test('tensors that share a storage are referred to in place', async () => {
  const { tensors } = await readPyTorch(join(fixtures, 'nested.pt'));
  const [shared, rows] = [tensors.get('unet.shared')!, tensors.get('unet.rows')!];
  expect(rows.offset - shared.offset).toBe(6 * 4);
});

test('files of our own writer are read the same, with and without Zip64', async () => {
  for (const zip64 of [false, true]) {
    const path = join(folder, `own-${zip64}.pt`);
    const torch = new TorchFile();
    const storage = torch.storage('F32', new Uint8Array(Float32Array.of(1, 2, 3, 4, 5, 6).buffer));
    const value = new Map([['unet', new Map([['w', torch.parameter(torch.tensor(storage, [2, 2], { start: 2 }))]])]]);
    await torch.write(path, value, { zip64 });
    const checkpoint = await readPyTorch(path);
    expect(await floats(checkpoint, 'unet.w')).toEqual([3, 4, 5, 6]);
    expect(checkpoint.tensors.get('unet.w')!.offset % 64).toBe(8);
  }
});

test('a sparse file of 8 GB: offsets beyond 4 GB', async () => {
  const path = join(folder, 'large.pt');
  const torch = new TorchFile();
  const names = Array.from({ length: 8 }, (_, i) => `layer.${i}`);
  const large = names.map(
    (name) => [name, torch.tensor(torch.storage('F16', { zeros: 1e9 }), [1000, 500_000])] as const,
  );
  const last = torch.tensor(torch.storage('F32', new Uint8Array(Float32Array.of(1, 2).buffer)), [2]);
  await torch.write(path, new Map([['unet', new Map<string, unknown>([...large, ['last', last]])]]));
  const checkpoint = await readPyTorch(path);
  expect(checkpoint.tensors.size).toBe(9);
  expect(checkpoint.tensors.get('unet.last')!.offset).toBeGreaterThan(8e9);
  expect(await floats(checkpoint, 'unet.last')).toEqual([1, 2]);
});

describe('invalid files are rejected, naming file and fault', () => {
  const refused = async (path: string, fault: RegExp | string) => {
    await expect(readPyTorch(path)).rejects.toThrow(fault);
    await expect(readPyTorch(path)).rejects.toThrow(path);
  };
  const tensorOf = (torch: TorchFile, bytes = 16) => torch.storage('F32', new Uint8Array(bytes));

  test('a class that does not belong in a checkpoint', () =>
    refused(join(fixtures, 'foreign-class.pt'), 'it names "torch.nn.modules.linear.Linear", which must not be in'));

  test.each([
    ['os', 'system'],
    ['os', 'popen'],
    ['subprocess', 'Popen'],
    ['builtins', 'eval'],
    ['commands', 'Popen'],
    ['pdb', 'Pdb'],
    ['timeit', 'timeit'],
    ['numpy.testing._private.utils', 'runstring'],
    ['mine', 'run'],
    ['torch.hub', 'load'],
  ])('a call of %s.%s', async (module, name) => {
    const path = join(folder, `calls-${module}-${name}.pt`);
    await new TorchFile().write(path, new Map([['w', new Call(new Global(module, name), ['true'])]]));
    await refused(
      path,
      `it names "${module}.${name}", which must not be in a checkpoint (allowed: collections.OrderedDict`,
    );
    if (module !== 'mine') {
      const named = new Global(module, name);
      const hidden = new Call(new Global('functools', 'partial'), [named, 'id']);
      for (const value of [named, hidden, new Instance(new Global('argparse', 'Namespace'), new Map([['f', named]]))]) {
        await new TorchFile().write(path, new Map([['w', value]]));
        await refused(path, `it names "${module}.${name}"`);
      }
    }
  });

  test.each(['builtins', '__builtin__'])('a call of %s.getattr on a tensor', async (module) => {
    const path = join(folder, `getattr-${module}.pt`);
    const torch = new TorchFile();
    const tensor = torch.tensor(tensorOf(torch), [4]);
    await torch.write(path, new Map([['w', new Call(new Global(module, 'getattr'), [tensor, 'T'])]]));
    await refused(path, 'it names "builtins.getattr", which must not be in a checkpoint');
  });

  test('an object containing tensors, like a module saved whole', async () => {
    const path = join(folder, 'whole.pt');
    const torch = new TorchFile();
    const state = new Map([['_parameters', new Map([['w', torch.tensor(tensorOf(torch), [4])]])]]);
    await torch.write(path, new Map([['model', new Instance(new Global('mine', 'Net'), state)]]));
    await refused(path, 'it names "mine.Net", which must not be in a checkpoint');
    const hidden = new TorchFile();
    const tensor = hidden.tensor(tensorOf(hidden), [4]);
    await hidden.write(path, new Map([['model', new Call(new Global('functools', 'partial'), [tensor])]]));
    await refused(path, 'it names "functools.partial", which must not be in a checkpoint');
  });

  test.each(['toString', '__proto__', 'constructor'])('a call of torch.%s', async (name) => {
    const path = join(folder, `named-${name}.pt`);
    await new TorchFile().write(path, new Map([['w', new Call(new Global('torch', name), [])]]));
    await refused(path, `it names "torch.${name}"`);
  });

  test('a truncated file', async () => {
    const path = join(folder, 'short.pt');
    for (const length of [0, 3, 700, 3700]) {
      await writeFile(path, (await readFile(join(fixtures, 'nested.pt'))).subarray(0, length));
      await refused(path, /it has no end record: cut short/);
    }
  });

  test('more bytes after its end than a comment may have', async () => {
    const path = join(folder, 'followed.pt');
    const whole = await readFile(join(fixtures, 'nested.pt'));
    await writeFile(path, Buffer.concat([whole, Buffer.alloc(70_000)]));
    await refused(
      path,
      `70000 bytes follow its end at byte ${whole.length}, of which at most 65535 are allowed: remove them`,
    );
  });

  test('a file that lacks its first half', async () => {
    const path = join(folder, 'tail.pt');
    await writeFile(path, (await readFile(join(fixtures, 'nested.pt'))).subarray(2000));
    await refused(path, /cut short|there is no entry/);
  });

  test('a Zip64 file without its locator', async () => {
    const path = join(folder, 'no-locator.pt');
    await new TorchFile().write(path, new Map(), { zip64: true });
    const bytes = await readFile(path);
    bytes.fill(0, bytes.length - 42, bytes.length - 22);
    await writeFile(path, bytes);
    await refused(path, 'it has no Zip64 locator');
  });

  test('a compressed entry', async () => {
    const path = join(folder, 'compressed.pt');
    await writeZip(path, [{ name: 'archive/data.pkl', content: pickle(new Map()) }]);
    const bytes = await readFile(path);
    bytes.writeUInt16LE(8, bytes.indexOf('PK\x01\x02', 0, 'latin1') + 10);
    await writeFile(path, bytes);
    await refused(path, 'archive/data.pkl: must be stored uncompressed (got method 8)');
  });

  test('a missing pickle, another byte order', async () => {
    const path = join(folder, 'other.pt');
    await writeZip(path, [{ name: 'archive/version', content: Buffer.from('3') }]);
    await refused(path, 'data.pkl is missing');
    await writeZip(path, [
      { name: 'a/data.pkl', content: pickle(new Map()) },
      { name: 'a/byteorder', content: Buffer.from('big') },
    ]);
    await refused(path, 'byte order must be little (got "big")');
  });

  test.each([
    ['arrays of NumPy', ['w.npy', 'b.npy'], 'checkpoint: it is an archive of NumPy arrays (.npz); safetensors or'],
    ['Keras', ['config.json', 'model.weights.h5'], 'it is a Keras model; safetensors or a PyTorch file is needed'],
    ['torch.export()', ['m/archive_format', 'm/models/model.json'], 'it is a program of torch.export(); torch.save()'],
    ['a checkpoint', ['run/last.ckpt'], 'it is a zip archive that contains "run/last.ckpt": unpack it'],
    ['anything else', ['a.xml', 'b', 'c'], 'it is a zip archive of "a.xml" and 2 more; safetensors or a PyTorch file'],
    ['nothing', [], 'it is an empty zip archive'],
  ])('a zip file of %s, compressed or not', async (_, names, fault) => {
    const path = join(folder, 'foreign.pt');
    await writeZip(
      path,
      names.map((name) => ({ name, content: Buffer.from('x') })),
    );
    await refused(path, fault);
    const bytes = await readFile(path);
    if (names.length > 0) {
      bytes.writeUInt16LE(8, bytes.indexOf('PK\x01\x02', 0, 'latin1') + 10);
    }
    await writeFile(path, bytes);
    await refused(path, fault);
  });

  test('a missing storage, or one of the wrong length', async () => {
    const path = join(folder, 'storage.pt');
    const torch = new TorchFile();
    const value = new Map([['w', torch.tensor(tensorOf(torch), [4])]]);
    await writeZip(path, [{ name: 'a/data.pkl', content: pickle(value) }]);
    await refused(path, 'w: its storage data/0 is missing');
    await writeZip(path, [
      { name: 'a/data.pkl', content: pickle(value) },
      { name: 'a/data/0', content: new Uint8Array(12) },
    ]);
    await refused(path, 'w: data/0 has 12 bytes, 4 elements of F32 take 16');
  });

  test('a tensor that extends beyond its storage', async () => {
    const path = join(folder, 'leaves.pt');
    for (const [shape, view] of [
      [[5], {}],
      [[2, 2], { start: 1 }],
      [[2, 2], { strides: [3, 1] }],
      [[2 ** 40, 2 ** 40], { strides: [0, 0] }],
    ] as const) {
      const torch = new TorchFile();
      await torch.write(path, new Map([['unet', new Map([['w', torch.tensor(tensorOf(torch), shape, view)]])]]));
      await refused(path, /unet\.w: \[.*\] with strides \[.*\] from element \d leaves its storage of 4/);
    }
  });

  test('two tensors with one name', async () => {
    const path = join(folder, 'twice.pt');
    const torch = new TorchFile();
    const tensor = () => torch.tensor(tensorOf(torch), [4]);
    await torch.write(
      path,
      new Map<string, unknown>([
        ['a.b', tensor()],
        ['a', new Map([['b', tensor()]])],
      ]),
    );
    await refused(path, 'a.b: given twice');
  });

  test.each([
    ['short keys, deep', 92, 'k'.repeat(200), 92 * 201 + 1],
    ['one long key', 1, 'k'.repeat(50_000), 50_002],
    ['just too long', 1, 'k'.repeat(999), 1001],
  ])('names that are too long: %s', async (_, levels, key, length) => {
    const path = join(folder, `long-${length}.pt`);
    const torch = new TorchFile();
    const innermost = new Map([['w', torch.tensor(tensorOf(torch), [4])]]);
    const value = Array.from({ length: levels }).reduce<unknown>((inner) => new Map([[key, inner]]), innermost);
    await torch.write(path, value);
    await refused(path, `…: a name must have at most 1000 characters (got ${length})`);
  });

  test('a name of 1000 characters is read', async () => {
    const path = join(folder, 'long-enough.pt');
    const torch = new TorchFile();
    await torch.write(path, new Map([['k'.repeat(998), new Map([['w', torch.tensor(tensorOf(torch), [4])]])]]));
    expect([...(await readPyTorch(path)).tensors.keys()]).toEqual([`${'k'.repeat(998)}.w`]);
  });

  const thousand = Array<null>(1000).fill(null);
  const thousandKeys = new Map(thousand.map((_, i) => [i, null]));
  test.each<[string, string, unknown]>([
    ['builtins', 'list', thousand],
    ['builtins', 'tuple', thousand],
    ['builtins', 'dict', thousandKeys],
    ['collections', 'OrderedDict', thousandKeys],
    ['collections', 'deque', thousand],
  ])('copies upon copies by %s.%s', async (module, name, items) => {
    const path = join(folder, `copies-${name}.pt`);
    const calls = Array.from({ length: 200 }, () => new Call(new Global(module, name), [items]));
    await new TorchFile().write(path, new Map([['copies', calls]]));
    await refused(path, /data\.pkl: its calls must copy at most \d+ items \(got \d+\)/);
  });

  test('a tensor of more axes than PyTorch has', async () => {
    const path = join(folder, 'axes.pt');
    const torch = new TorchFile();
    await torch.write(path, new Map([['w', torch.tensor(tensorOf(torch), Array<number>(65).fill(1))]]));
    await refused(path, 'a shape of at most 64 axes and strides');
  });

  test('a tensor alone', async () => {
    const path = join(folder, 'alone.pt');
    const torch = new TorchFile();
    await torch.write(path, torch.tensor(tensorOf(torch), [4]));
    await refused(path, 'it holds a tensor without a name');
  });

  test('a tensor truncated after the directory was read', async () => {
    const path = join(folder, 'cut-later.pt');
    const torch = new TorchFile();
    await torch.write(path, new Map([['w', torch.tensor(tensorOf(torch), [4])]]));
    const checkpoint = await readPyTorch(path);
    await truncate(path, checkpoint.tensors.get('w')!.offset + 4);
    await expect(floats(checkpoint, 'w')).rejects.toThrow(`${path} is not a valid checkpoint file: it ends after`);
  });
});
