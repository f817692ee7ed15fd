import type { ModelMetadataResponse, ModelMetadataResponse_TensorMetadata } from '../../proto/gen/grpc_service.ts';
import { elementTypes } from '../pipeline/element-types.ts';
import type { ExpectedModel, ExpectedTensor } from './expected-model.ts';

/** One difference from what is expected. */
export interface ModelDifference {
  /** Such as `input latents`. */
  what: string;
  expected: string;
  found: string;
}

const nothing = 'nothing';

/**
 * All differences between a model and what a stage sends and reads. Outputs that the stage does not read are ignored.
 *
 * @param maxBatchSize from its configuration; 0: tensors have no batch axis; undefined: unknown
 */
export function compareModel(
  expected: ExpectedModel,
  metadata: ModelMetadataResponse,
  maxBatchSize: number | undefined,
): ModelDifference[] {
  const extra = metadata.inputs.filter(({ name }) => !(name in expected.inputs));
  const batch =
    maxBatchSize && maxBatchSize < expected.largestBatch
      ? [{ what: 'max batch size', expected: `at least ${expected.largestBatch}`, found: String(maxBatchSize) }]
      : [];
  return [
    ...compareTensors('input', expected.inputs, metadata.inputs),
    ...extra.map((tensor) => ({ what: `input ${tensor.name}`, expected: nothing, found: describe(tensor) })),
    ...compareTensors('output', expected.outputs, metadata.outputs),
    ...batch,
  ];
}

function compareTensors(
  kind: 'input' | 'output',
  expected: Record<string, ExpectedTensor>,
  found: ModelMetadataResponse_TensorMetadata[],
): ModelDifference[] {
  return Object.entries(expected).flatMap(([name, wanted]) => {
    const actual = found.find((tensor) => tensor.name === name);
    if (actual && fits(wanted, actual)) {
      return [];
    }
    const wantedText = `${elementTypes[wanted.dataType].triton} [${wanted.shape}]`;
    return [{ what: `${kind} ${name}`, expected: wantedText, found: actual ? describe(actual) : nothing }];
  });
}

function fits(wanted: ExpectedTensor, { datatype, shape }: ModelMetadataResponse_TensorMetadata): boolean {
  return (
    datatype === elementTypes[wanted.dataType].triton &&
    shape.length === wanted.shape.length &&
    shape.every((dimension, axis) => dimension === -1n || Number(dimension) === wanted.shape[axis])
  );
}

function describe({ datatype, shape }: ModelMetadataResponse_TensorMetadata): string {
  return `${datatype} [${shape}]`;
}
