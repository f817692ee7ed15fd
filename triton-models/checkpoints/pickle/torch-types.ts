import { isCount } from '../../../services/kit/is-count.ts';
import { elementTypes, typesIn } from '../../../services/pipeline/element-types.ts';
import type { ElementType } from '../../../services/pipeline/safetensors/element-types.ts';
import { PickleObject, PickleTuple, type PickleTypes } from './unpickle.ts';

/** A storage: an entry of the zip file, possibly shared by several tensors. */
export interface TorchStorage {
  dataType: ElementType;
  /** Name of the entry below `data/`. */
  key: string;
  /** Number of elements. */
  count: number;
}

/** A tensor as `torch.save` describes it. */
export class TorchTensor {
  readonly storage: TorchStorage;
  /** Offset of the first element in its storage, in elements. */
  readonly start: number;
  readonly shape: readonly number[];
  /** Strides in elements, one per axis. */
  readonly strides: readonly number[];

  constructor(storage: TorchStorage, start: number, shape: readonly number[], strides: readonly number[]) {
    this.storage = storage;
    this.start = start;
    this.shape = shape;
    this.strides = strides;
  }
}

/** Modules that only a checkpoint that means harm names, those of Python 2 included. */
const harmfulModules = [
  'os|posix|nt|subprocess|_posixsubprocess|commands|popen2|sys|builtins|runpy|shutil|pty|webbrowser|multiprocessing',
  'importlib|imp|pkgutil|zipimport|pip|ensurepip|distutils|marshal|_?pickle|cPickle|shelve|ctypes|_ctypes|cffi',
  '_?socket|socketserver|urllib|urllib2|ftplib|smtplib|telnetlib|_thread|pdb|bdb|timeit|cProfile|doctest|codeop',
];
const harmful = new RegExp(
  `^((${harmfulModules.join('|')})\\.|code\\.(Interactive|interact)|_?io\\.open|types\\.(Code|Function|Lambda)Type|` +
    '_?operator\\.(attrgetter|methodcaller)|numpy\\.(testing|f2py|distutils|ctypeslib)\\.|torch\\.(hub|utils\\.cpp_extension)\\.)',
);

/**
 * What training arguments call: classes, such as enumerations, known by a capital letter at the beginning, and functions that do
 * nothing but name something. Like all others they are never run.
 */
const calledByArguments = /^(functools\.partial|builtins\.getattr|(.*\.)?[A-Z]\w*)$/;

/** A class or function that is not one of a checkpoint's. */
export class ForeignName {
  readonly name: string;

  constructor(name: string) {
    this.name = name;
  }

  /** Whether it may be called beside the weights: the result is a placeholder. */
  get isCallable(): boolean {
    return calledByArguments.test(this.name);
  }

  refuse(): never {
    const text = JSON.stringify(this.name);
    throw new Error(`it names ${text}, which must not be in a checkpoint (allowed: ${allowed})`);
  }
}

/** An object of an unknown class, which only holds what it was given. */
export class ForeignObject extends PickleObject {
  readonly name: ForeignName;

  constructor(name: ForeignName, args: readonly unknown[]) {
    super(name.name, args);
    this.name = name;
  }
}

const storageTypes: Readonly<Record<string, ElementType>> = Object.fromEntries(
  typesIn('torch').map((type) => [elementTypes[type].torch, elementTypes[type].safetensors]),
);

class StorageType {
  readonly dataType: ElementType;

  constructor(dataType: ElementType) {
    this.dataType = dataType;
  }
}

type Construct = (args: readonly unknown[], types: TorchTypes) => unknown;

/** Every item takes at least one byte of the pickle, and few are copied twice. */
const maxCopiesPerByte = 2;
/** PyTorch's own limit. */
const maxAxes = 64;

/** The classes that describe a checkpoint's parts; no PyTorch or Python code runs. */
const functions: Readonly<Record<string, Construct>> = {
  'collections.OrderedDict': dictionary,
  'torch._utils._rebuild_tensor_v2': rebuildTensor,
  'torch._utils._rebuild_parameter': ([tensor]) => checkTensor(tensor),
  'torch._utils._rebuild_parameter_with_state': ([tensor]) => checkTensor(tensor),
  'torch._tensor._rebuild_from_type_v2': rebuildFromType,
  'torch.Size': ([sizes]) => sizes,
  'collections.defaultdict': ([, pairs], types) => dictionary([pairs], types),
  'collections.Counter': ([counts], types) => dictionary([counts], types),
  'collections.deque': list,
  'builtins.dict': dictionary,
  'builtins.list': list,
  'builtins.tuple': (args, types) => new PickleTuple(list(args, types)),
};

/** Harmless values found in checkpoints but used by no network: each becomes a {@link PickleObject}. */
const placeholders: readonly RegExp[] = [
  // Element types are referenced only by name.
  /^torch\.(float|double|half|u?int|long|short|bool|complex|cfloat|cdouble|chalf)$/,
  /^torch\.(b?float|u?int|complex|qu?int|bits)\d\w*$/,
  /^torch\.(strided|sparse_coo|contiguous_format|preserve_format|channels_last)$/,
  /^torch\.(device|Generator|Tensor|nn\.parameter\.Parameter|serialization\._get_layout)$/,
  /^numpy\.(?!(testing|f2py|distutils|ctypeslib)\.)/,
  /^builtins\.(set|frozenset|bytes|bytearray|complex|int|long|float|bool|str|unicode|slice|x?range|object)$/,
  /^_codecs\.encode$/,
  /^copyreg\._reconstructor$/,
  /^(argparse\.Namespace|types\.SimpleNamespace)$/,
  /^pathlib\.(_local\.)?(Pure)?(Posix|Windows)?Path$/,
  /^(datetime\.\w+|uuid\.UUID|decimal\.Decimal|fractions\.Fraction)$/,
];

const allowed = [
  ...Object.keys(functions),
  `torch.{${Object.keys(storageTypes).join(', ')}}`,
  'element types, devices, NumPy values, sets, bytes, paths, dates, argument objects, classes of training arguments',
].join(', ');

/**
 * The classes of a PyTorch checkpoint, for one pickle. Rejects a pickle that calls anything else, or whose calls copy
 * far more items than it contains: a few bytes are enough to copy a list again.
 */
export class TorchTypes implements PickleTypes {
  readonly #maxCopied: number;
  #copied = 0;

  /** @param pickleLength bytes */
  constructor(pickleLength: number) {
    this.#maxCopied = maxCopiesPerByte * pickleLength;
  }

  resolve(module: string, name: string): unknown {
    const fullName = `${currentModule[module] ?? module}.${name}`;
    if (Object.hasOwn(functions, fullName)) {
      return functions[fullName];
    }
    if (module === 'torch' && Object.hasOwn(storageTypes, name)) {
      return new StorageType(storageTypes[name]!);
    }
    if (placeholders.some((pattern) => pattern.test(fullName))) {
      return new PickleObject(fullName);
    }
    const foreign = new ForeignName(fullName);
    // Wherever it is named, such as among the arguments of a call that is skipped.
    return fullName !== 'builtins.getattr' && harmful.test(fullName) ? foreign.refuse() : foreign;
  }

  call(resolved: unknown, args: readonly unknown[]): unknown {
    if (resolved instanceof ForeignName) {
      return resolved.isCallable ? this.instantiate(resolved, args) : resolved.refuse();
    }
    this.countCopied(args.length);
    if (resolved instanceof PickleObject) {
      return new PickleObject(resolved.className, args);
    }
    if (typeof resolved !== 'function') {
      throw new Error('it calls a value that is not a function');
    }
    return (resolved as Construct)(args, this);
  }

  instantiate(resolved: unknown, args: readonly unknown[]): unknown {
    if (!(resolved instanceof ForeignName)) {
      return this.call(resolved, args);
    }
    // Training arguments are often an object of the trainer's own class: plain data, since nothing is called.
    this.countCopied(args.length);
    return new ForeignObject(resolved, args);
  }

  load(identifier: unknown): TorchStorage {
    return storageOf(identifier);
  }

  countCopied(items: number): void {
    this.#copied += items;
    if (this.#copied > this.#maxCopied) {
      throw new Error(`its calls must copy at most ${this.#maxCopied} items (got ${this.#copied})`);
    }
  }
}

/** Names that modules had in Python 2, which protocol 2 still writes. */
const currentModule: Readonly<Record<string, string>> = { __builtin__: 'builtins', copy_reg: 'copyreg' };

/** `OrderedDict(pairs)` or `dict(mapping)`; pickles mostly make an empty one and fill it. */
function dictionary([given = []]: readonly unknown[], types: TorchTypes): Map<unknown, unknown> {
  if (given instanceof Map) {
    types.countCopied(given.size);
    return new Map(given);
  }
  const pairs = itemsOf(given);
  types.countCopied(pairs?.length ?? 0);
  if (pairs === undefined || !pairs.every((pair) => itemsOf(pair)?.length === 2)) {
    throw new Error('a dictionary has items that are not pairs');
  }
  return new Map(pairs.map((pair) => itemsOf(pair) as [unknown, unknown]));
}

/** `list(items)`, `deque(items, longest)`. */
function list([given = []]: readonly unknown[], types: TorchTypes): unknown[] {
  const items = itemsOf(given);
  if (items === undefined) {
    throw new Error('a list is made from something other than a list or tuple');
  }
  types.countCopied(items.length);
  return [...items];
}

/** `('storage', torch.FloatStorage, '0', 'cpu', 12)`. */
function storageOf(identifier: unknown): TorchStorage {
  const [kind, type, key, , count, view] = itemsOf(identifier) ?? [];
  if (type instanceof ForeignName) {
    type.refuse();
  }
  if (kind !== 'storage' || !(type instanceof StorageType) || typeof key !== 'string' || !isCount(count)) {
    throw new Error('it refers to a value that is not the storage of a tensor');
  }
  // Before PyTorch 0.4 a storage could be a view into another.
  if (view !== undefined && view !== null) {
    throw new Error(`storage ${key} is a view of another storage: load the file and torch.save() it again`);
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
    shape.length <= maxAxes &&
    shape.length === strides.length &&
    shape.every(isCount) &&
    strides.every(isCount);
  if (!isSound) {
    throw new Error(
      `a tensor is made of something other than a storage, a start, a shape of at most ${maxAxes} axes and strides`,
    );
  }
  return new TorchTensor(storage, start, shape, strides);
}

/** `_rebuild_from_type_v2(function, type, args, state)`: a tensor that Python attributes were set on. */
function rebuildFromType([construct, , args]: readonly unknown[], types: TorchTypes): unknown {
  return types.call(construct, itemsOf(args) ?? []);
}

function checkTensor(value: unknown): TorchTensor {
  if (!(value instanceof TorchTensor)) {
    throw new Error('a parameter is made from a value that is not a tensor');
  }
  return value;
}

function isStorage(value: unknown): value is TorchStorage {
  return typeof value === 'object' && value !== null && 'key' in value && 'count' in value;
}

function itemsOf(value: unknown): readonly unknown[] | undefined {
  return value instanceof PickleTuple ? value.items : Array.isArray(value) ? value : undefined;
}
