import { join } from 'node:path';
import { elementCount } from '../../../services/pipeline/tensor.ts';
import { ParameterList } from '../../checkpoints/parameter-list.ts';
import { writeSafetensors } from '../../checkpoints/safetensors-writer.ts';
import { Graph } from '../../graphs/graph.ts';

/**
 * Writes `weights.safetensors` of a case whose weights are a formula, see `weights` in its config.json: the network is too
 * large for a file of the repository.
 */
export async function writeFormulaWeights(folder: string, build: (g: Graph) => void): Promise<void> {
  const { shapes } = parametersFor(build);
  const tensors = new Map([...shapes].map(([name, shape]) => [name, { dataType: 'F32', shape }] as const));
  await writeSafetensors(join(folder, 'weights.safetensors'), tensors, (name) => {
    return new Uint8Array(valuesOf(name, shapes.get(name)!).buffer);
  });
}

function parametersFor(build: (g: Graph) => void): ParameterList {
  const list = new ParameterList();
  build(new Graph('network', list));
  return list;
}

function valuesOf(name: string, shape: readonly number[]): Float32Array<ArrayBuffer> {
  const values = new Float32Array(elementCount(shape));
  let state = 0x811c9dc5;
  for (const byte of new TextEncoder().encode(name)) {
    state = Math.imul(state ^ byte, 0x01000193) >>> 0;
  }
  const scaled = scaleOf(name, shape);
  for (let i = 0; i < values.length; i++) {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    values[i] = scaled((state / 2 ** 32) * 2 - 1);
  }
  return values;
}

function scaleOf(name: string, shape: readonly number[]): (u: number) => number {
  if (/^lin\d\./.test(name)) {
    return Math.abs;
  }
  if (shape.length > 1) {
    const scale = Math.sqrt(6 / elementCount(shape.slice(1)));
    return (u) => u * scale;
  }
  if (name.endsWith('.weight')) {
    return (u) => 1 + 0.2 * u;
  }
  return name.endsWith('.running_var') ? (u) => 1 + 0.5 * u : (u) => 0.1 * u;
}
