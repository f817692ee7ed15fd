import { join } from 'node:path';
import { packageRoot } from '../../../services/kit/package-root.ts';
import { readSafetensors, readTensorBytes } from '../../checkpoints/safetensors.ts';

/** Reads float32 tensors of a case of reference figures. */
export async function metricsGolden(name: string) {
  const file = await readSafetensors(join(packageRoot, 'test', 'fixtures', 'goldens', name, 'io.safetensors'));
  return {
    shape: (tensor: string) => file.tensors.get(tensor)!.shape,
    floats: async (tensor: string) => new Float32Array((await readTensorBytes(file, tensor)).buffer),
  };
}
