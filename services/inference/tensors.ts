import type { ElementType } from './datatypes.ts';
import type { RegionLease } from './shared-memory.ts';

/** A tensor in wire form: little-endian, row-major. */
export interface WireTensor {
  readonly type: ElementType;
  /** Whole shape; of a model with batching the first dimension is the batch. */
  readonly shape: readonly bigint[];
  /** Elements; each BYTES element is a 4-byte length and its bytes. */
  readonly data: Uint8Array;
  /** Whether a run may take the buffer of `data`: nothing else uses it, except other inputs of the same request. */
  readonly isOwned?: boolean;
  /** Whether the elements of this output are already where the caller wants them; `data` is empty. */
  readonly isPlaced?: boolean;
}

/** A tensor in shared memory; of the same form. */
export interface RegionTensor {
  readonly type: ElementType;
  readonly shape: readonly bigint[];
  readonly region: RegionLease;
}

/** A copy of a tensor in shared memory. Throws INTERNAL if its object has become too short. */
export function inMemory(tensor: WireTensor | RegionTensor): WireTensor {
  if ('data' in tensor) {
    return tensor;
  }
  const { type, shape, region } = tensor;
  return { type, shape, data: region.read(), isOwned: true };
}
