import { ModelInferRequest, type ModelInferRequest_InferInputTensor } from '../../../proto/gen/grpc_service.ts';
import { invalidField } from '../../kit/errors.ts';
import type { Datatype } from '../tensors/datatypes.ts';
import { encodeTensor, type TritonTensor } from '../tensors/triton-tensor.ts';
import { type Parameters, toWireParameters } from './parameters.ts';
import { typedContents } from './typed-contents.ts';

/** A part of a registered shared memory region. */
export interface RegionRange {
  /** The name it was registered under. */
  region: string;
  /** Where the part starts, bytes. Default 0. */
  offset?: number;
  /** For an input the tensor's exact size, for an output at least that. */
  byteSize: number;
}

/** An input whose elements are in shared memory. */
export interface RegionInput {
  datatype: Datatype;
  shape: readonly number[];
  from: RegionRange;
}

export interface WantedOutput {
  /** Return this many best classes of each item instead of the tensor; read them with `readClasses`. */
  classes?: number;
  /** Put the tensor into shared memory instead of the answer. */
  into?: RegionRange;
  parameters?: Parameters;
}

/** Several requests that a stateful model treats as one. */
export interface Sequence {
  id: bigint | string;
  /** First request of the sequence. */
  start?: boolean;
  /** Last request of the sequence. */
  end?: boolean;
}

/** An inference request. */
export interface InferenceRequest {
  model: string;
  /** Default: the server chooses, by its version policy. */
  version?: string;
  /** Returned with the answer. */
  id?: string;
  inputs: Record<string, (TritonTensor | RegionInput) & { parameters?: Parameters }>;
  /** Default: all, as tensors. */
  outputs?: Record<string, WantedOutput>;
  /** How inputs are sent: as bytes, or as typed numbers, which FP16 and BF16 do not have. Default raw. */
  contents?: 'raw' | 'typed';
  /** Lower values run first; 0: the model's default. Default 0. */
  priority?: number;
  /** Longest time in the model's queue, microseconds, if the model lets requests set it. */
  queueTimeoutMicroseconds?: number;
  sequence?: Sequence;
  /** Custom parameters of the model. */
  parameters?: Parameters;
}

/** The message of a request. Throws INVALID_ARGUMENT naming a field that the protocol cannot express. */
export function toInferMessage(request: InferenceRequest): ModelInferRequest {
  const isTyped = request.contents === 'typed';
  const rawInputContents: Uint8Array[] = [];
  const inputs = Object.entries(request.inputs).map(([name, input]): ModelInferRequest_InferInputTensor => {
    const isInRegion = 'from' in input;
    if (!isTyped && !isInRegion) {
      rawInputContents.push(encodeTensor(input));
    }
    return {
      name,
      datatype: input.datatype,
      shape: input.shape.map(BigInt),
      parameters: toWireParameters({ ...input.parameters, ...(isInRegion && regionParameters(input.from)) }),
      contents: isTyped && !isInRegion ? typedContents(name, input) : undefined,
    };
  });
  const outputs = Object.entries(request.outputs ?? {}).map(([name, { classes, into, parameters }]) => ({
    name,
    parameters: toWireParameters({
      ...parameters,
      ...(classes !== undefined && { classification: BigInt(classes) }),
      ...(into && regionParameters(into)),
    }),
  }));
  return {
    modelName: request.model,
    modelVersion: request.version ?? '',
    id: request.id ?? '',
    parameters: toWireParameters(requestParameters(request)),
    inputs,
    outputs,
    rawInputContents,
  };
}

/** Bytes of the tensors in a message, which is nearly all of it. */
export function tensorBytesOf(message: ModelInferRequest): number {
  return message.rawInputContents.length > 0
    ? message.rawInputContents.reduce((sum, content) => sum + content.byteLength, 0)
    : ModelInferRequest.encode(message).finish().byteLength;
}

function regionParameters({ region, offset = 0, byteSize }: RegionRange): Parameters {
  return {
    shared_memory_region: region,
    shared_memory_byte_size: BigInt(byteSize),
    ...(offset !== 0 && { shared_memory_offset: BigInt(offset) }),
  };
}

/** Parameters of the protocol for which requests have fields. */
const ownFields: Record<string, string> = {
  priority: 'priority',
  timeout: 'queueTimeoutMicroseconds',
  sequence_id: 'sequence.id',
  sequence_start: 'sequence.start',
  sequence_end: 'sequence.end',
};

function requestParameters(request: InferenceRequest): Parameters {
  const { parameters = {}, priority, queueTimeoutMicroseconds, sequence } = request;
  for (const name of Object.keys(parameters)) {
    if (name in ownFields) {
      throw invalidField(`parameters.${name}`, parameters[name], `the request's field ${ownFields[name]}`);
    }
  }
  return {
    ...parameters,
    ...(priority && { priority: integer('priority', priority) }),
    ...(queueTimeoutMicroseconds !== undefined && {
      timeout: integer('queueTimeoutMicroseconds', queueTimeoutMicroseconds),
    }),
    ...(sequence && {
      sequence_id: sequence.id,
      sequence_start: sequence.start ?? false,
      sequence_end: sequence.end ?? false,
    }),
  };
}

function integer(field: string, value: number): bigint {
  if (!Number.isSafeInteger(value) || value < 0) {
    throw invalidField(field, value, 'a whole number, at least 0');
  }
  return BigInt(value);
}
