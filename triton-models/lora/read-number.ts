import { elementsOf, elementTypeNamed } from '../../services/pipeline/element-types.ts';
import { elementCount } from '../../services/pipeline/tensor.ts';
import type { StoredTensor } from '../checkpoints/checkpoint.ts';
import { tensorBytes } from '../checkpoints/tensor-bytes.ts';
import { readMatrix } from './read-matrix.ts';

/** The only element of a tensor of numbers, integers included; undefined if it has another count or type. */
export async function readNumber(stored: StoredTensor): Promise<number | undefined> {
  const type = elementTypeNamed('safetensors', stored.dataType);
  if (elementCount(stored.shape) !== 1 || type === undefined || type === 'bool') {
    return undefined;
  }
  if (type === 'float16' || type === 'bfloat16') {
    return (await readMatrix(stored))[0];
  }
  for await (const bytes of tensorBytes(stored)) {
    return Number(elementsOf(type, bytes)[0]);
  }
  return undefined;
}
