import type { ElementType } from '../../../services/pipeline/safetensors/element-types.ts';
import { PickleTuple, type PickleTypes } from './unpickle.ts';

/** A storage: one entry of the zip file, which several tensors may share. */
interface TorchStorage {
  dataType: ElementType;
  /** Name of the entry below `data/`. */
  key: string;
  /** Number of elements. */
  count: number;
}

/** A tensor as `torch.save` describes it. */
export class TorchTensor {
  readonly storage: TorchStorage;
  /** Of the first element in its storage, elements. */
  readonly start: number;
  readonly shape: readonly number[];
  /** Elements from one index to the next, for each axis. */
  readonly strides: readonly number[];

  constructor(storage: TorchStorage, start: number, shape: readonly number[], strides: readonly number[]) {
    this.storage = storage;
    this.start = start;
    this.shape = shape;
    this.strides = strides;
  }
}

const storageTypes: Readonly<Record<string, ElementType>> = {
  DoubleStorage: 'F64',
  FloatStorage: 'F32',
  HalfStorage: 'F16',
  BFloat16Storage: 'BF16',
  LongStorage: 'I64',
  IntStorage: 'I32',
  ShortStorage: 'I16',
  CharStorage: 'I8',
  ByteStorage: 'U8',
  BoolStorage: 'BOOL',
};

class StorageType {
  readonly dataType: ElementType;

  constructor(dataType: ElementType) {
    this.dataType = dataType;
  }
}

type Construct = (args: readonly unknown[]) => unknown;

/** What may stand in a checkpoint; what these make is described, nothing of PyTorch runs. */
const functions: Readonly<Record<string, Construct>> = {
  'collections.OrderedDict': orderedDictionary,
  'torch._utils._rebuild_tensor_v2': rebuildTensor,
  'torch._utils._rebuild_parameter': ([tensor]) => checkTensor(tensor),
  'torch.Size': ([sizes]) => sizes,
};

const allowed = [...Object.keys(functions), `torch.{${Object.keys(storageTypes).join(', ')}}`].join(', ');

/** The classes of a PyTorch checkpoint. A pickle that names any other one is refused. */
export const torchTypes: PickleTypes = {
  resolve(module, name) {
    const fullName = `${module}.${name}`;
    if (Object.hasOwn(functions, fullName)) {
      return functions[fullName];
    }
    if (module === 'torch' && Object.hasOwn(storageTypes, name)) {
      return new StorageType(storageTypes[name]!);
    }
    throw new Error(`it names ${JSON.stringify(fullName)}, which is not among what a checkpoint may hold: ${allowed}`);
  },
  construct(resolved, args) {
    if (typeof resolved !== 'function') {
      throw new Error('it calls what is no function');
    }
    return (resolved as Construct)(args);
  },
  load: storageOf,
};

/** `OrderedDict(pairs)`; pickles mostly make an empty one and fill it. */
function orderedDictionary([pairs = []]: readonly unknown[]): Map<unknown, unknown> {
  if (!Array.isArray(pairs) || !pairs.every((pair) => itemsOf(pair)?.length === 2)) {
    throw new Error('an OrderedDict is made of what are no pairs');
  }
  return new Map(pairs.map((pair) => itemsOf(pair) as [unknown, unknown]));
}

/** `('storage', torch.FloatStorage, '0', 'cpu', 12)`. */
function storageOf(identifier: unknown): TorchStorage {
  const [kind, type, key, , count] = itemsOf(identifier) ?? [];
  if (kind !== 'storage' || !(type instanceof StorageType) || typeof key !== 'string' || !isCount(count)) {
    throw new Error('it refers to what is no storage of a tensor');
  }
  return { dataType: type.dataType, key, count };
}

/** `_rebuild_tensor_v2(storage, start, shape, strides, requires_grad, hooks)`. */
function rebuildTensor([storage, start, shapeTuple, stridesTuple]: readonly unknown[]): TorchTensor {
  const shape = itemsOf(shapeTuple) ?? [];
  const strides = itemsOf(stridesTuple) ?? [];
  const isSound =
    isStorage(storage) &&
    isCount(start) &&
    shapeTuple instanceof PickleTuple &&
    shape.length === strides.length &&
    shape.every(isCount) &&
    strides.every(isCount);
  if (!isSound) {
    throw new Error('a tensor is made of other things than a storage, a start, a shape and strides');
  }
  return new TorchTensor(storage, start, shape as number[], strides as number[]);
}

function checkTensor(value: unknown): TorchTensor {
  if (!(value instanceof TorchTensor)) {
    throw new Error('a parameter is made of what is no tensor');
  }
  return value;
}

function isStorage(value: unknown): value is TorchStorage {
  return typeof value === 'object' && value !== null && 'key' in value && 'count' in value;
}

function itemsOf(value: unknown): readonly unknown[] | undefined {
  return value instanceof PickleTuple ? value.items : Array.isArray(value) ? value : undefined;
}

function isCount(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0;
}
