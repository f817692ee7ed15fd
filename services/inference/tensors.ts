import type { ElementType } from './datatypes.ts';

/** A tensor on its way through the server: its elements as they travel, little-endian, row-major. */
export interface WireTensor {
  readonly type: ElementType;
  /** Whole shape; of a model with batching the first dimension is the batch. */
  readonly shape: readonly bigint[];
  /** Elements; of BYTES each one as a 4-byte length and its bytes. */
  readonly data: Uint8Array;
}
