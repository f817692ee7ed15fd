import { elementTypeNamed, elementTypes } from '../../../services/pipeline/element-types.ts';
import type { ElementType } from '../../../services/pipeline/safetensors/element-types.ts';
import { bytesPerElement } from '../../../services/pipeline/safetensors/element-types.ts';
import { Call, Global, PersistentId, pickle, Tuple } from './pickle-writer.ts';
import { writeZip, type ZipInput, type ZipOptions } from './zip-writer.ts';

const rebuildTensor = new Global('torch._utils', '_rebuild_tensor_v2');
const rebuildParameter = new Global('torch._utils', '_rebuild_parameter');
const orderedDict = new Global('collections', 'OrderedDict');

/** Creates PyTorch files for tests: the pickle and the storages that `torch.save` would write. */
export class TorchFile {
  readonly #storages: ZipInput['content'][] = [];

  /** A storage, possibly shared by several tensors. */
  storage(dataType: ElementType, content: ZipInput['content']): PersistentId {
    const length = 'zeros' in content ? content.zeros : content.byteLength;
    const key = String(this.#storages.push(content) - 1);
    const type = new Global('torch', torchName(dataType));
    return new PersistentId(new Tuple('storage', type, key, 'cpu', length / bytesPerElement[dataType]));
  }

  /** A tensor in a storage, contiguous unless strides are given. */
  tensor(
    storage: PersistentId,
    shape: readonly number[],
    { start = 0, strides = contiguous(shape) }: { start?: number; strides?: readonly number[] } = {},
  ): Call {
    const hooks = new Call(orderedDict, []);
    return new Call(rebuildTensor, [storage, start, new Tuple(...shape), new Tuple(...strides), false, hooks]);
  }

  parameter(tensor: Call): Call {
    return new Call(rebuildParameter, [tensor, true, new Call(orderedDict, [])]);
  }

  async write(path: string, value: unknown, options: ZipOptions = {}): Promise<void> {
    const entries = this.#storages.map((content, key) => ({ name: `archive/data/${key}`, content }));
    const first = { name: 'archive/data.pkl', content: pickle(value) };
    await writeZip(path, [first, ...entries, { name: 'archive/version', content: Buffer.from('3\n') }], options);
  }
}

function contiguous(shape: readonly number[]): number[] {
  return shape.map((_, axis) => shape.slice(axis + 1).reduce((product, size) => product * size, 1));
}

function torchName(dataType: ElementType): string {
  const row = elementTypes[elementTypeNamed('safetensors', dataType)!];
  if (!('torch' in row)) {
    throw new Error(`PyTorch has no storage of ${dataType}`);
  }
  return row.torch;
}
