import { elementCount } from '../../services/pipeline/tensor.ts';
import type { Checkpoint, StoredTensor } from '../checkpoints/checkpoint.ts';
import { toFloat32 } from '../checkpoints/convert-elements.ts';
import { readSafetensors } from '../checkpoints/safetensors.ts';
import { writeSafetensors } from '../checkpoints/safetensors-writer.ts';
import { tensorBytes } from '../checkpoints/tensor-bytes.ts';
import type { ParameterType } from '../checkpoints/weights.ts';
import { type LoraLayer, rankOf } from './lora-layer.ts';
import { readMatrix } from './read-matrix.ts';

/** A layer that changes a parameter of a network. */
export interface LoraChange {
  /** The parameter's name in the checkpoint. */
  parameter: string;
  layer: LoraLayer;
  /** Of the whole file. */
  scale: number;
}

/**
 * Adds the changes to the weights that they belong to and writes those, in float32, to a new safetensors file. Returns the
 * checkpoint with the changed weights in place of its own.
 */
export async function mergeLoras(
  checkpoint: Checkpoint,
  changes: readonly LoraChange[],
  path: string,
  signal?: AbortSignal,
): Promise<Checkpoint> {
  const byParameter = new Map<string, LoraChange[]>();
  for (const change of changes) {
    byParameter.set(change.parameter, [...(byParameter.get(change.parameter) ?? []), change]);
  }
  const shapeOf = (name: string) => checkpoint.tensors.get(name)!.shape;
  const planned = new Map(
    [...byParameter.keys()].map((name) => [name, { dataType: 'F32', shape: shapeOf(name) }] as const),
  );
  await writeSafetensors(path, planned, (name) =>
    merged(checkpoint.tensors.get(name)!, byParameter.get(name)!, signal),
  );
  return { ...checkpoint, tensors: new Map([...checkpoint.tensors, ...(await readSafetensors(path)).tensors]) };
}

async function* merged(
  stored: StoredTensor,
  changes: readonly LoraChange[],
  signal: AbortSignal | undefined,
): AsyncGenerator<Uint8Array> {
  const products = await Promise.all(changes.map(readProduct));
  let start = 0;
  for await (const piece of tensorBytes(stored)) {
    signal?.throwIfAborted();
    // Rounded once, whatever the number of files.
    const sums = Float64Array.from(toFloat32(piece, stored.dataType as ParameterType));
    for (const product of products) {
      addProduct(sums, start, product);
    }
    start += sums.length;
    const { buffer } = Float32Array.from(sums);
    yield new Uint8Array(buffer);
  }
}

/** up · down, as a weight's rows. */
interface Product {
  /** `[rows, rank]`, scaled */
  up: Float64Array;
  /** `[rank, columns]` */
  down: Float32Array | Float64Array;
  rank: number;
  columns: number;
}

async function readProduct({ layer, scale }: LoraChange): Promise<Product> {
  const strength = scale * layer.factor;
  const up = Float64Array.from(await readMatrix(layer.up), (value) => strength * value);
  const down = await readMatrix(layer.down);
  const rank = rankOf(layer);
  const rows = layer.mid ? applyKernel(layer, down, await readMatrix(layer.mid)) : down;
  return { up, down: rows, rank, columns: rows.length / rank };
}

/** The Tucker form's core `[rank, inner, …kernel]` and `down` `[inner, in]` as one matrix `[rank, in · kernel]`. */
function applyKernel({ down, mid }: LoraLayer, inputs: Float32Array, core: Float32Array): Float64Array {
  const [inner, channels] = down.shape as [number, number];
  const kernel = elementCount(mid!.shape.slice(2));
  const rank = mid!.shape[0]!;
  const rows = new Float64Array(rank * channels * kernel);
  for (let a = 0; a < rank; a++) {
    for (let b = 0; b < inner; b++) {
      for (let i = 0; i < channels; i++) {
        for (let k = 0; k < kernel; k++) {
          rows[(a * channels + i) * kernel + k]! += core[(a * inner + b) * kernel + k]! * inputs[b * channels + i]!;
        }
      }
    }
  }
  return rows;
}

/** Adds a part of a product to a part of a weight, which begins at element `start` and may end within a row. */
function addProduct(sums: Float64Array, start: number, { up, down, rank, columns }: Product): void {
  for (let at = 0; at < sums.length; ) {
    const row = Math.floor((start + at) / columns);
    const from = (start + at) % columns;
    const count = Math.min(columns - from, sums.length - at);
    for (let a = 0; a < rank; a++) {
      const factor = up[row * rank + a]!;
      const begin = a * columns + from;
      for (let j = 0; j < count; j++) {
        sums[at + j]! += factor * down[begin + j]!;
      }
    }
    at += count;
  }
}
