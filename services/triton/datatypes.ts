import { Status } from 'nice-grpc-common';
import { FusionError } from '../kit/errors.ts';
import type { DataType } from '../kit/tensor.ts';

/** Triton's names of the element types that the stages use. */
export const tritonTypes: Record<DataType, string> = { float32: 'FP32', int64: 'INT64', bool: 'BOOL', uint8: 'UINT8' };

/** The element type of a Triton tensor. Throws UNIMPLEMENTED for one that no stage uses. */
export function dataTypeOf(tritonType: string): DataType {
  const found = Object.entries(tritonTypes).find(([, name]) => name === tritonType);
  if (!found) {
    throw new FusionError(
      Status.UNIMPLEMENTED,
      `tensor type ${tritonType} is not used here, known: ${Object.values(tritonTypes).join(', ')}`,
    );
  }
  return found[0] as DataType;
}
