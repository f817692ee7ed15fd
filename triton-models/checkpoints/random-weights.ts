import { elementCount } from '../../services/pipeline/tensor.ts';
import { writeSafetensors } from './safetensors-writer.ts';

/**
 * Writes seeded random weights, float32, for these parameters. Matrices and kernels are scaled by their fan-in, norms
 * start as identities and biases at zero, so that activations keep their size through the network.
 */
export async function writeRandomWeights(
  path: string,
  parameters: ReadonlyMap<string, readonly number[]>,
  seed: number,
): Promise<void> {
  const tensors = new Map([...parameters].map(([name, shape]) => [name, { dataType: 'F32', shape }] as const));
  await writeSafetensors(path, tensors, (name) => {
    const values = initialValues(name, parameters.get(name)!, seed);
    return new Uint8Array(values.buffer);
  });
}

function initialValues(name: string, shape: readonly number[], seed: number): Float32Array<ArrayBuffer> {
  const values = new Float32Array(elementCount(shape));
  if (/(bias|running_mean)$/.test(name)) {
    return values;
  }
  const isScale = shape.length === 1 && /(weight|running_var)$/.test(name);
  if (isScale) {
    return values.fill(1);
  }
  if (shape.length === 1 && shape[0] === 1) {
    return values.fill(0.5);
  }
  const fanIn = shape.length === 1 ? 1 : elementCount(shape.slice(1));
  const isTable = /(embed_tokens|shared|embeddings)\.weight$/.test(name);
  const deviation = isTable ? 1 : fanIn ** -0.5;
  fillUniform(values, Math.sqrt(3) * deviation, hash(name, seed));
  return values;
}

/** FNV-1a over the name, so that a parameter's values depend only on its name, its shape and the seed. */
function hash(name: string, seed: number): number {
  let state = (0x811c9dc5 ^ seed) >>> 0;
  for (let i = 0; i < name.length; i++) {
    state = Math.imul(state ^ name.charCodeAt(i), 0x01000193) >>> 0;
  }
  return state;
}

/** Fills `values` with uniform numbers in [−limit, limit), by Mulberry32. */
function fillUniform(values: Float32Array, limit: number, seed: number): void {
  const { imul } = Math;
  let state = seed;
  for (let i = 0; i < values.length; i++) {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    values[i] = (((mixed ^ (mixed >>> 14)) >>> 0) / 2147483648 - 1) * limit;
  }
}
