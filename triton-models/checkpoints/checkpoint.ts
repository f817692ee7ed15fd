import { Status } from 'nice-grpc-common';
import { FusionError } from '../../services/kit/errors.ts';
import type { ElementType } from '../../services/pipeline/safetensors/element-types.ts';

/** Location of a tensor in a checkpoint. */
export interface StoredTensor {
  /** Path of the file. */
  file: string;
  dataType: ElementType;
  shape: readonly number[];
  /** Offset of the first element in the file, in bytes. */
  offset: number;
  /** Size of the elements in bytes when contiguous. */
  length: number;
  /** Strides in elements, one per axis; absent when contiguous. */
  strides?: readonly number[];
}

/** The tensors of one or more files of any format: their types and locations, never their values. */
export interface Checkpoint {
  /** The opened path, for messages. */
  path: string;
  tensors: ReadonlyMap<string, StoredTensor>;
  /** Sentences for the user about what was recognised or left out. */
  notes?: readonly string[];
}

/** A fault may quote names and shapes of any length. */
const maxFaultLength = 1000;

/** FAILED_PRECONDITION for a file that violates its format. */
export function brokenCheckpoint(path: string, format: string, fault: string): FusionError {
  const shown = fault.length > maxFaultLength ? `${fault.slice(0, maxFaultLength)}…` : fault;
  return new FusionError(Status.FAILED_PRECONDITION, `checkpoint: ${path} is not a valid ${format}: ${shown}`, {
    reason: 'BROKEN_CHECKPOINT',
    field: 'checkpoint',
  });
}
