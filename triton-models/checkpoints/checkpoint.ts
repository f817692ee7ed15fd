import { Status } from 'nice-grpc-common';
import { FusionError } from '../../services/kit/errors.ts';
import type { ElementType } from '../../services/pipeline/safetensors/element-types.ts';

/** Where a tensor of a checkpoint lies. */
export interface StoredTensor {
  /** Path of the file. */
  file: string;
  dataType: ElementType;
  shape: readonly number[];
  /** Of the first element, bytes from the start of the file. */
  offset: number;
  /** Bytes that the elements take when they lie one after the other. */
  length: number;
  /** Elements from one index to the next, for each axis; absent when the elements lie one after the other. */
  strides?: readonly number[];
}

/** The tensors of one or more files, whatever their format: what and where they are, never their values. */
export interface Checkpoint {
  /** What was opened, for messages. */
  path: string;
  tensors: ReadonlyMap<string, StoredTensor>;
  /** What was recognised in it, or left out, that its owner should know: sentences. */
  notes?: readonly string[];
}

/** FAILED_PRECONDITION: a file is not what its format says. */
export function brokenCheckpoint(path: string, format: string, fault: string): FusionError {
  return new FusionError(Status.FAILED_PRECONDITION, `checkpoint: ${path} is not a sound ${format}: ${fault}`, {
    reason: 'BROKEN_CHECKPOINT',
    field: 'checkpoint',
  });
}
