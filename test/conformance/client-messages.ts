import {
  type InferParameter,
  type InferTensorContents,
  type ModelInferRequest,
  ModelInferResponse,
} from '../../proto/gen/grpc_service.ts';
import { decodeBytesElements } from '../../services/pipeline/bytes-elements.ts';
import { elementsOf, elementTypeNamed, elementTypes } from '../../services/pipeline/element-types.ts';
import type {
  InferenceRequest,
  RegionRange,
  Sequence,
  WantedOutput,
} from '../../services/triton/inference/inference-request.ts';
import type { InferenceResult } from '../../services/triton/inference/inference-result.ts';
import { fromWireParameters, type Parameters, toWireParameters } from '../../services/triton/inference/parameters.ts';
import { type Datatype, fixedType } from '../../services/triton/tensors/datatypes.ts';
import { encodeTensor, type TritonTensor } from '../../services/triton/tensors/triton-tensor.ts';

/** A recorded request in the client's form, as closely as possible. Throws if the client has none. */
export function fromMessage(message: ModelInferRequest): InferenceRequest {
  const { priority, timeout, sequence_id, sequence_start, sequence_end, ...parameters } = fromWireParameters(
    message.parameters,
  );
  let nextRaw = 0;
  const inputs = message.inputs.map(({ name, datatype, shape, parameters: given, contents }) => {
    const [range, others] = splitRange(given);
    const header = { datatype: datatype as Datatype, shape: shape.map(Number), parameters: others };
    if (range) {
      return [name, { ...header, from: range }];
    }
    const data = contents
      ? typedData(datatype, contents)
      : rawData(datatype as Datatype, message.rawInputContents[nextRaw++]!);
    return [name, { ...header, data }];
  });
  const outputs = message.outputs.map(({ name, parameters: given }): [string, WantedOutput] => {
    const [into, { classification, ...others }] = splitRange(given);
    const classes = classification === undefined ? {} : { classes: Number(classification) };
    return [name, { ...classes, ...(into && { into }), parameters: others }];
  });
  const isTyped = message.inputs.some(({ contents }) => contents);
  return {
    model: message.modelName,
    version: message.modelVersion,
    id: message.id,
    inputs: Object.fromEntries(inputs),
    outputs: Object.fromEntries(outputs),
    ...(isTyped && { contents: 'typed' }),
    ...(priority !== undefined && { priority: Number(priority) }),
    ...(timeout !== undefined && { queueTimeoutMicroseconds: Number(timeout) }),
    ...(sequence_id !== undefined && {
      sequence: { id: sequence_id, start: sequence_start, end: sequence_end } as Sequence,
    }),
    parameters,
  };
}

/** The server's message from which the client made a result. */
export function toMessage({ model, version, id, parameters, outputs, placed }: InferenceResult): ModelInferResponse {
  // The server orders outputs by their names.
  const names = [...Object.keys(outputs), ...Object.keys(placed)].sort();
  return ModelInferResponse.fromPartial({
    modelName: model,
    modelVersion: version,
    id,
    parameters: toWireParameters(parameters),
    outputs: names.map((name) => {
      const { datatype, shape } = outputs[name] ?? placed[name]!;
      return { name, datatype, shape: shape.map(BigInt) };
    }),
    rawOutputContents: names.map((name) => (outputs[name] ? encodeTensor(outputs[name]) : new Uint8Array())),
  });
}

function splitRange(given: Record<string, InferParameter>): [RegionRange | undefined, Parameters] {
  const { shared_memory_region, shared_memory_offset, shared_memory_byte_size, ...others } = fromWireParameters(given);
  if (shared_memory_region === undefined) {
    return [undefined, fromWireParameters(given)];
  }
  const range = {
    region: shared_memory_region as string,
    ...(shared_memory_offset !== undefined && { offset: Number(shared_memory_offset) }),
    byteSize: Number(shared_memory_byte_size),
  };
  return [range, others];
}

function rawData(datatype: Datatype, bytes: Uint8Array): TritonTensor['data'] {
  if (datatype === 'BYTES') {
    return decodeBytesElements(bytes);
  }
  return elementsOf(fixedType(datatype)!, bytes);
}

function typedData(datatype: string, contents: InferTensorContents): TritonTensor['data'] {
  const row = elementTypes[elementTypeNamed('triton', datatype)!];
  const values = 'contents' in row ? contents[row.contents] : [];
  return 'array' in row
    ? (row.array as { from(values: readonly unknown[]): Uint8Array }).from(values)
    : contents.bytesContents;
}
