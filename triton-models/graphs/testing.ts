import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { packageRoot } from '../../services/kit/package-root.ts';
import { type Tensor, tensor } from '../../services/pipeline/tensor.ts';
import { CheckpointWeights } from '../checkpoints/checkpoint-weights.ts';
import { ParameterList } from '../checkpoints/parameter-list.ts';
import { writeRandomWeights } from '../checkpoints/random-weights.ts';
import { readSafetensors } from '../checkpoints/safetensors.ts';
import type { ModelSession } from '../session/model-session.ts';
import { withModel } from '../verify/temporary-model.ts';
import { Graph } from './graph.ts';

/** The constructor's arguments of a golden case. */
export async function constructorOf(name: string): Promise<Record<string, unknown>> {
  const path = join(packageRoot, 'test', 'fixtures', 'goldens', name, 'config.json');
  return JSON.parse(await readFile(path, 'utf8')).constructor;
}

/** Writes random weights for a graph into `folder`; returns the file's path. */
export async function randomWeights(folder: string, build: (g: Graph) => void): Promise<string> {
  const list = new ParameterList();
  build(new Graph('network', list));
  const path = join(folder, `${Math.random()}.safetensors`);
  await writeRandomWeights(path, list.shapes, 1);
  return path;
}

/** Loads a graph with the weights of a file, for the duration of `use`. */
export async function run<T>(
  build: (g: Graph) => void,
  weights: string,
  use: (session: ModelSession) => Promise<T>,
  threads?: number,
): Promise<T> {
  const graph = new Graph('network', new CheckpointWeights([{ file: await readSafetensors(weights) }]));
  build(graph);
  return await withModel(graph, [weights], use, { threads });
}

/** Numbers in [−2, 2] that depend on the seed alone. */
export function noise(shape: number[], seed: number): Tensor<'float32'> {
  const count = shape.reduce((product, size) => product * size, 1);
  return tensor(
    'float32',
    shape,
    Float32Array.from({ length: count }, (_, i) => 2 * Math.sin(12.9898 * (i + 1) * (seed + 1))),
  );
}
