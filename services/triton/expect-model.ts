import { setTimeout as sleep } from 'node:timers/promises';
import { Status } from 'nice-grpc-common';
import type { ModelMetadataResponse_TensorMetadata } from '../../proto/gen/grpc_service.ts';
import { FusionError, toFusionError } from '../kit/errors.ts';
import type { DataType } from '../kit/tensor.ts';
import { tritonTypes } from './datatypes.ts';
import type { TritonClient } from './triton-client.ts';

/** A tensor that a stage sends or reads; −1 stands for a dimension that varies. The batch axis counts. */
export interface ExpectedTensor {
  dataType: DataType;
  shape: readonly number[];
}

/** What a stage needs of its model. */
export interface ExpectedModel {
  name: string;
  inputs: Record<string, ExpectedTensor>;
  outputs: Record<string, ExpectedTensor>;
}

const retryMilliseconds = 250;

/**
 * Waits until the server answers and has the model, then compares the model's tensors with what the stage sends and
 * reads. Throws FAILED_PRECONDITION with every difference, or the last error when the time is up.
 */
export async function expectModel(
  triton: TritonClient,
  expected: ExpectedModel,
  timeoutSeconds: number,
  signal: AbortSignal,
): Promise<void> {
  const deadline = Date.now() + timeoutSeconds * 1000;
  for (;;) {
    try {
      const metadata = await triton.modelMetadata(expected.name, signal);
      const differences = [
        ...compare('input', expected.inputs, metadata.inputs),
        ...compare('output', expected.outputs, metadata.outputs),
      ];
      if (differences.length > 0) {
        throw mismatch(triton, expected, differences);
      }
      return;
    } catch (thrown) {
      const error = toFusionError(thrown);
      if (error.reason === 'MODEL_MISMATCH' || error.code === Status.CANCELLED || Date.now() > deadline) {
        throw error;
      }
    }
    await sleep(retryMilliseconds, undefined, { signal });
  }
}

function mismatch(triton: TritonClient, expected: ExpectedModel, differences: string[]): FusionError {
  return new FusionError(
    Status.FAILED_PRECONDITION,
    `model ${expected.name} on ${triton.address} does not fit the preset: ${differences.join('; ')}`,
    { reason: 'MODEL_MISMATCH' },
  );
}

function compare(
  kind: 'input' | 'output',
  expected: Record<string, ExpectedTensor>,
  found: ModelMetadataResponse_TensorMetadata[],
): string[] {
  const missing = Object.entries(expected).flatMap(([name, wanted]) => {
    const wantedText = `${tritonTypes[wanted.dataType]} [${wanted.shape}]`;
    const actual = found.find((tensor) => tensor.name === name);
    if (!actual) {
      return [`${kind} ${name} is missing (expected ${wantedText})`];
    }
    const shape = actual.shape.map(Number);
    const fits =
      actual.datatype === tritonTypes[wanted.dataType] &&
      shape.length === wanted.shape.length &&
      shape.every((dimension, axis) => dimension === -1 || dimension === wanted.shape[axis]);
    return fits ? [] : [`${kind} ${name} is ${actual.datatype} [${shape}] (expected ${wantedText})`];
  });
  const extra =
    kind === 'input'
      ? found.filter(({ name }) => !(name in expected)).map(({ name }) => `input ${name} is unknown`)
      : [];
  return [...missing, ...extra];
}
