import type { ElementType } from './datatypes.ts';

/** A tensor in wire form: little-endian, row-major. */
export interface WireTensor {
  readonly type: ElementType;
  /** Whole shape; of a model with batching the first dimension is the batch. */
  readonly shape: readonly bigint[];
  /** Elements; each BYTES element is a 4-byte length and its bytes. */
  readonly data: Uint8Array;
  /** Whether a run may take the buffer of `data`: nothing else uses it, except other inputs of the same request. */
  readonly isOwned?: boolean;
}
