import { elementCount } from '../../services/pipeline/tensor.ts';
import type { StoredTensor } from '../checkpoints/checkpoint.ts';
import { toFloat32 } from '../checkpoints/convert-elements.ts';
import { tensorBytes } from '../checkpoints/tensor-bytes.ts';
import type { ParameterType } from '../checkpoints/weights.ts';

/** All elements of a small tensor, in float32. */
export async function readMatrix(stored: StoredTensor): Promise<Float32Array> {
  const values = new Float32Array(elementCount(stored.shape));
  let filled = 0;
  for await (const piece of tensorBytes(stored)) {
    const part = toFloat32(piece, stored.dataType as ParameterType);
    values.set(part, filled);
    filled += part.length;
  }
  return values;
}
