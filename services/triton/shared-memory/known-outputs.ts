import { LRUCache } from 'lru-cache';
import { byteSizeOf } from '../tensors/datatypes.ts';
import type { TritonTensor } from '../tensors/triton-tensor.ts';

/** Bytes of a model's outputs by name; undefined for those whose size does not follow from their shape. */
export type OutputSizes = Readonly<Record<string, number | undefined>>;

interface Request {
  model: string;
  version?: string;
  inputs: Record<string, TritonTensor>;
}

/** Output sizes of earlier requests for the same model with the same input shapes. */
export class KnownOutputs {
  readonly #sizes = new LRUCache<string, OutputSizes>({ max: 256 });

  get(request: Request): OutputSizes | undefined {
    return this.#sizes.get(keyOf(request));
  }

  set(request: Request, outputs: Record<string, TritonTensor>): void {
    const sizes = Object.entries(outputs).map(([name, { datatype, shape }]) => [name, byteSizeOf(datatype, shape)]);
    this.#sizes.set(keyOf(request), Object.fromEntries(sizes));
  }

  forget(request: Request): void {
    this.#sizes.delete(keyOf(request));
  }
}

function keyOf({ model, version, inputs }: Request): string {
  return JSON.stringify([model, version, Object.entries(inputs).map(([name, { shape }]) => [name, shape])]);
}
