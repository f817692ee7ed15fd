import { join } from 'node:path';
import { readSafetensors, readTensorBytes } from '../../../triton-models/checkpoints/safetensors.ts';
import { packageRoot } from '../../kit/package-root.ts';
import { type Tensor, tensorFromBytes } from '../../pipeline/tensor.ts';

/** The float32 tensors of a golden case, by name. */
export async function goldenTensors(name: string): Promise<Map<string, Tensor<'float32'>>> {
  const file = await readSafetensors(join(packageRoot, 'test/fixtures/goldens', name, 'io.safetensors'));
  const tensors = new Map<string, Tensor<'float32'>>();
  for (const [key, { dataType, shape }] of file.tensors) {
    if (dataType === 'F32') {
      tensors.set(key, tensorFromBytes('float32', shape, await readTensorBytes(file, key)));
    }
  }
  return tensors;
}

export function maxDifference(actual: Float32Array, expected: Float32Array): number {
  if (actual.length !== expected.length) {
    throw new Error(`${actual.length} values where ${expected.length} are expected`);
  }
  return actual.reduce((largest, value, i) => Math.max(largest, Math.abs(value - expected[i]!)), 0);
}
