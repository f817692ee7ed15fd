import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { packageRoot } from '../../kit/package-root.ts';
import { decodeTensorFile } from '../../pipeline/safetensors/tensor-file.ts';
import type { Tensor } from '../../pipeline/tensor.ts';

/** The float32 tensors of a golden case, by name. */
export async function goldenTensors(name: string): Promise<Map<string, Tensor<'float32'>>> {
  const tensors = decodeTensorFile(await readFile(join(packageRoot, 'test/fixtures/goldens', name, 'io.safetensors')));
  return new Map([...tensors].filter((entry): entry is [string, Tensor<'float32'>] => entry[1].dataType === 'float32'));
}

export function maxDifference(actual: Float32Array, expected: Float32Array): number {
  if (actual.length !== expected.length) {
    throw new Error(`${actual.length} values where ${expected.length} are expected`);
  }
  return actual.reduce((largest, value, i) => Math.max(largest, Math.abs(value - expected[i]!)), 0);
}
