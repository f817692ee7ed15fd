import { bytesPerElement } from '../../services/pipeline/safetensors/element-types.ts';
import { brokenCheckpoint, type Checkpoint, type StoredTensor } from './checkpoint.ts';
import { type CheckpointFile, withCheckpointFile } from './checkpoint-file.ts';
import { namedTensors } from './pickle/named-tensors.ts';
import { type TorchStorage, TorchTypes } from './pickle/torch-types.ts';
import { type PickleTypes, unpickleFirst } from './pickle/unpickle.ts';
import { locate } from './pytorch.ts';

const format = 'PyTorch file of before 1.6';
/** The first pickle of every such file: a number. */
const magic = Buffer.from('80028a0a6cfc9c46f9206aa850192e', 'hex');
const protocol = 1001;
// Pickles come first and are short; storages follow.
const firstRead = 1 << 20;
const maxPickles = 256_000_000;

/** Whether a file starts as one that `torch.save` wrote before PyTorch 1.6. */
export function isLegacyPyTorch(start: Buffer): boolean {
  return start.subarray(0, magic.length).equals(magic);
}

/**
 * Lists the tensors of a file written by `torch.save` before PyTorch 1.6: five pickles (a number, the protocol, the system,
 * the value, the keys of its storages), then for each storage its element count and its bytes. Names and errors are those
 * of `readPyTorch`.
 */
export function readLegacyPyTorch(path: string): Promise<Checkpoint> {
  return withCheckpointFile(path, format, async (file) => {
    const { value, storages, keys, end } = await readPickles(file);
    const places = await placeStorages(file, keys, storages, end);
    const tensors = new Map<string, StoredTensor>();
    for (const [name, tensor] of describing(path, () => namedTensors(value))) {
      tensors.set(name, locate(path, name, tensor, places.get(tensor.storage.key)));
    }
    return { path, tensors };
  });
}

interface Pickles {
  value: unknown;
  /** Every storage that the value refers to, by key. */
  storages: ReadonlyMap<string, TorchStorage>;
  /** Of the storages in the file, in their order. */
  keys: readonly string[];
  /** Where the pickles end, bytes from the start of the file. */
  end: number;
}

async function readPickles(file: CheckpointFile): Promise<Pickles> {
  const limit = Math.min(file.size, maxPickles);
  for (let length = Math.min(firstRead, limit); ; length = Math.min(4 * length, limit)) {
    try {
      return parsePickles(await file.read(0, length));
    } catch (error) {
      // A RangeError says that the bytes ended.
      if (!(error instanceof RangeError) || length === limit) {
        throw brokenCheckpoint(file.path, format, (error as Error).message);
      }
    }
  }
}

function parsePickles(bytes: Buffer): Pickles {
  const types = new TorchTypes(bytes.length);
  const storages = new Map<string, TorchStorage>();
  const noting: PickleTypes = {
    resolve: (module, name) => types.resolve(module, name),
    call: (resolved, args) => types.call(resolved, args),
    instantiate: (resolved, args) => types.instantiate(resolved, args),
    load(identifier) {
      const storage = types.load(identifier);
      storages.set(storage.key, storage);
      return storage;
    },
  };
  let end = magic.length;
  const next = (): unknown => {
    const { value, length } = unpickleFirst(bytes.subarray(end), noting);
    end += length;
    return value;
  };
  const version = next();
  if (version !== protocol) {
    throw new Error(`its protocol must be ${protocol} (got ${version})`);
  }
  const system = next();
  if (!(system instanceof Map) || system.get('little_endian') !== true) {
    throw new Error('byte order must be little');
  }
  const value = next();
  const keys = next();
  if (!Array.isArray(keys) || !keys.every((key) => typeof key === 'string')) {
    throw new Error('the keys of its storages must be a list of strings');
  }
  return { value, storages, keys, end };
}

/** Where each storage's bytes lie. */
async function placeStorages(
  file: CheckpointFile,
  keys: readonly string[],
  storages: ReadonlyMap<string, TorchStorage>,
  start: number,
): Promise<Map<string, { offset: number; length: number }>> {
  const places = new Map<string, { offset: number; length: number }>();
  let position = start;
  for (const key of keys) {
    const storage = storages.get(key);
    if (storage === undefined) {
      throw brokenCheckpoint(file.path, format, `storage ${key} belongs to no tensor`);
    }
    const count = Number((await file.read(position, 8)).readBigInt64LE());
    const length = count * bytesPerElement[storage.dataType];
    const offset = position + 8;
    if (!(count >= 0) || offset + length > file.size) {
      const fault = `storage ${key} of ${count} elements leaves the file of ${file.size} bytes: cut short`;
      throw brokenCheckpoint(file.path, format, fault);
    }
    places.set(key, { offset, length });
    position = offset + length;
  }
  return places;
}

function describing<T>(path: string, read: () => T): T {
  try {
    return read();
  } catch (error) {
    throw brokenCheckpoint(path, format, (error as Error).message);
  }
}
