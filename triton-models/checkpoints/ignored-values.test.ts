import { join } from 'node:path';
import { expect, test } from '@jest/globals';
import { packageRoot } from '../../services/kit/package-root.ts';
import { temporaryFolder } from '../../services/kit/testing/temporary-folder.ts';
import { scopeOfAllTests } from '../../services/kit/testing/test-scope.ts';
import { readPyTorch } from './pytorch.ts';
import { Call, Global, Instance, Tuple } from './testing/pickle-writer.ts';
import { TorchFile } from './testing/torch-file.ts';

const folder = temporaryFolder(scopeOfAllTests());

async function write(name: string, value: (torch: TorchFile, tensor: () => Call) => unknown): Promise<string> {
  const path = join(folder, `${name}.pt`);
  const torch = new TorchFile();
  const tensor = () => torch.tensor(torch.storage('F32', new Uint8Array(16)), [4]);
  await torch.write(path, value(torch, tensor));
  return path;
}

async function namesIn(path: string): Promise<string[]> {
  return [...(await readPyTorch(path)).tensors.keys()];
}

function nested(levels: number, innermost: unknown, wrap: (inner: unknown) => unknown): unknown {
  return Array.from({ length: levels }).reduce<unknown>(wrap, innermost);
}

function four(inner: unknown): Map<string, unknown> {
  return new Map([0, 1, 2, 3].map((key) => [String(key), inner]));
}

test('harmless.pt, written by PyTorch itself', async () => {
  expect(await namesIn(join(packageRoot, 'test', 'fixtures', 'torch', 'harmless.pt'))).toEqual([
    'module.w',
    'module.b',
  ]);
});

test.each([
  ['appended.pt', 'w', [2, 3]],
  ['dtypeobj.pt', 'w', [2, 3]],
  ['bomb_lists.pt', 'w', [1]],
])('%s', async (name, tensor, shape) => {
  const { tensors } = await readPyTorch(join(packageRoot, 'test', 'fixtures', 'checkpoints', name));
  expect([...tensors].map(([key, found]) => [key, found.shape])).toEqual([[tensor, shape]]);
});

test('dictionaries and tuples nested into 4⁴⁰ paths, and a thousand lists in one another', async () => {
  const path = await write('bombs', (_, tensor) => {
    return new Map<string, unknown>([
      ['w', tensor()],
      ['dictionaries', nested(40, new Map(), four)],
      ['tuples', nested(40, new Map(), (inner) => new Map([['t', new Tuple(inner, inner, [inner])]]))],
      ['deep', nested(1000, [], (inner) => [inner])],
    ]);
  });
  expect(await namesIn(path)).toEqual(['w']);
});

test('a tensor at the end of 4⁴⁰ paths is rejected quickly', async () => {
  const path = await write('bomb-around-tensor', (_, tensor) => nested(40, new Map([['w', tensor()]]), four));
  await expect(namesIn(path)).rejects.toThrow(`${path} is not a valid PyTorch file: data.pkl: 0.0.0…: nested without`);
});

test('a dictionary that contains itself is named once, a shared one under each parent', async () => {
  const cycle = new Map<string, unknown>();
  const path = await write('cycle', (_, tensor) => {
    const shared = new Map([['w', tensor()]]);
    cycle.set('again', cycle).set('unet', shared).set('model', shared);
    return cycle;
  });
  expect(await namesIn(path)).toEqual(['unet.w', 'model.w']);
});

test('an object of arguments, of any class; enumerations, classes and partial functions', async () => {
  const path = await write('arguments', (_, tensor) => {
    const state = new Map<string, unknown>([
      ['lr', 1],
      ['again', [1, 2]],
    ]);
    return new Map<string, unknown>([
      ['args', new Instance(new Global('__main__', 'Arguments'), state)],
      ['strategy', new Call(new Global('transformers.trainer_utils', 'IntervalStrategy'), ['steps'])],
      ['optimizer', new Global('torch.optim.adam', 'Adam')],
      ['mode', new Call(new Global('mine.settings', 'Mode'), ['fast'])],
      ['flag', new Call(new Global('builtins', 'getattr'), [new Global('mine.settings', 'Flag'), 'LEFT'])],
      ['inner', new Call(new Global('__builtin__', 'getattr'), [new Global('mine', 'make'), 'Inner'])],
      ['activation', new Global('torch.nn.functional', 'relu')],
      ['odd', new Global('torch', 'constructor')],
      ['make', new Call(new Global('functools', 'partial'), [new Global('mine', 'make')], new Tuple(null))],
      ['w', tensor()],
    ]);
  });
  expect(await namesIn(path)).toEqual(['w']);
});
