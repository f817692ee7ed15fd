import { byteLength, bytesPerElement } from '../../services/pipeline/safetensors/element-types.ts';
import { brokenCheckpoint, type Checkpoint, type StoredTensor } from './checkpoint.ts';
import { type CheckpointFile, withCheckpointFile } from './checkpoint-file.ts';
import { namedTensors } from './pickle/named-tensors.ts';
import { type TorchTensor, TorchTypes } from './pickle/torch-types.ts';
import { unpickle } from './pickle/unpickle.ts';
import { tellArchive } from './tell-archive.ts';
import { readZipDirectory, readZipNames, type ZipEntry } from './zip-directory.ts';

const format = 'PyTorch file';
// A file of a hundred thousand tensors has about 20 MB of names and shapes.
const maxPickle = 256_000_000;

/**
 * Lists the tensors of a file written by `torch.save` (PyTorch 1.6 or later: a zip file). Nested dictionaries and lists
 * are flattened to `outer.inner` names; everything else is ignored. The pickle is read, never run. Throws NOT_FOUND if
 * the file does not exist and FAILED_PRECONDITION, naming the file and the tensor or class, if it is truncated, not of
 * this format, calls anything that no checkpoint needs, or has tensors outside their storage.
 */
export function readPyTorch(path: string): Promise<Checkpoint> {
  return withCheckpointFile(path, format, async (file) => {
    // First, because entries of other zip files are often compressed.
    const root = findRoot(file, await readZipNames(file, format));
    const entries = await readZipDirectory(file, format);
    await checkByteOrder(file, entries.get(`${root}byteorder`));
    const tensors = new Map<string, StoredTensor>();
    for (const [name, tensor] of await readPickle(file, entries.get(`${root}data.pkl`)!)) {
      tensors.set(name, locate(path, name, tensor, entries.get(`${root}data/${tensor.storage.key}`)));
    }
    return { path, tensors };
  });
}

/** Name, with a slash, of the one folder that contains all entries. */
function findRoot({ path }: CheckpointFile, names: readonly string[]): string {
  const pickle = names.find((name) => /^[^/]+\/data\.pkl$/.test(name));
  if (pickle === undefined) {
    const other = tellArchive(names);
    throw other === undefined
      ? brokenCheckpoint(path, format, 'data.pkl is missing')
      : brokenCheckpoint(path, 'checkpoint', other);
  }
  return pickle.slice(0, -'data.pkl'.length);
}

async function checkByteOrder(file: CheckpointFile, entry: ZipEntry | undefined): Promise<void> {
  const order = entry && (await file.read(entry.offset, Math.min(entry.length, 16))).toString('utf8');
  if (order !== undefined && order !== 'little') {
    throw brokenCheckpoint(file.path, format, `byte order must be little (got ${JSON.stringify(order)})`);
  }
}

async function readPickle(file: CheckpointFile, { offset, length }: ZipEntry): Promise<Map<string, TorchTensor>> {
  if (length > maxPickle) {
    throw brokenCheckpoint(file.path, format, `data.pkl must be at most ${maxPickle} bytes (got ${length})`);
  }
  const bytes = await file.read(offset, length);
  try {
    return namedTensors(unpickle(bytes, new TorchTypes(length)));
  } catch (error) {
    throw brokenCheckpoint(file.path, format, `data.pkl: ${(error as Error).message}`);
  }
}

/** The location of a tensor, which must be inside its storage. `entry` is where the storage's bytes lie. */
export function locate(
  path: string,
  name: string,
  tensor: TorchTensor,
  entry: Pick<ZipEntry, 'offset' | 'length'> | undefined,
): StoredTensor {
  const { storage, start, shape, strides } = tensor;
  const { dataType, key, count } = storage;
  const size = bytesPerElement[dataType];
  if (entry === undefined) {
    throw brokenCheckpoint(path, format, `${name}: its storage data/${key} is missing`);
  }
  if (entry.length !== count * size) {
    const fault = `${name}: data/${key} has ${entry.length} bytes, ${count} elements of ${dataType} take ${count * size}`;
    throw brokenCheckpoint(path, format, fault);
  }
  const length = byteLength(dataType, shape);
  const end = length === 0 ? start : start + shape.reduce((last, n, axis) => last + (n - 1) * strides[axis]!, 1);
  if (!Number.isSafeInteger(length) || !(end <= count)) {
    const fault = `${name}: [${shape}] with strides [${strides}] from element ${start} leaves its storage of ${count}`;
    throw brokenCheckpoint(path, format, fault);
  }
  const stored = { file: path, dataType, shape, offset: entry.offset + start * size, length };
  return isContiguous(shape, strides) ? stored : { ...stored, strides };
}

/** Whether the elements are contiguous; strides of axes of size 1 do not matter. */
function isContiguous(shape: readonly number[], strides: readonly number[]): boolean {
  if (shape.includes(0)) {
    return true;
  }
  let expected = 1;
  for (let axis = shape.length - 1; axis >= 0; axis--) {
    if (shape[axis] !== 1 && strides[axis] !== expected) {
      return false;
    }
    expected *= shape[axis]!;
  }
  return true;
}
