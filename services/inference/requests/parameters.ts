import type { InferParameter } from '../../../proto/gen/grpc_service.ts';
import { invalidArgument } from '../errors.ts';

type Parameters = Record<string, InferParameter>;

/** The parameters of a request. */
export interface RequestParameters {
  priority: bigint;
  timeoutMicroseconds: bigint;
  sequenceId: bigint | string;
  sequenceStart: boolean;
  sequenceEnd: boolean;
}

const emptyFinalResponse = 'triton_enable_empty_final_response';

/** Reads and checks the parameters of a request. Throws INVALID_ARGUMENT for a wrong type or value. */
export function readParameters(parameters: Parameters): RequestParameters {
  const read: RequestParameters = {
    priority: 0n,
    timeoutMicroseconds: 0n,
    sequenceId: 0n,
    sequenceStart: false,
    sequenceEnd: false,
  };
  for (const [key, { parameterChoice: choice }] of Object.entries(parameters)) {
    switch (key) {
      case 'sequence_id':
        if (choice?.$case !== 'int64Param' && choice?.$case !== 'stringParam') {
          throw invalidArgument(`invalid value type for '${key}' parameter, expected int64_param or string_param.`);
        }
        read.sequenceId = choice.value;
        break;
      case 'sequence_start':
        read.sequenceStart = flag(key, choice);
        break;
      case 'sequence_end':
        read.sequenceEnd = flag(key, choice);
        break;
      case 'priority':
        if (choice?.$case !== 'int64Param' && choice?.$case !== 'uint64Param') {
          throw invalidArgument(`invalid value type for '${key}' parameter, expected int64_param or uint64_param.`);
        }
        if (choice.value < 0n) {
          throw invalidArgument(`invalid value for '${key}', expected value >= 0.`);
        }
        read.priority = choice.value;
        break;
      case 'timeout':
        if (choice?.$case !== 'int64Param') {
          throw invalidArgument(`invalid value type for '${key}' parameter, expected int64_param.`);
        }
        read.timeoutMicroseconds = choice.value;
        break;
      case emptyFinalResponse:
        // Models here answer once, so there is no empty final answer to ask for.
        flag(key, choice);
        break;
      default:
        checkCustomParameter(key, choice);
    }
  }
  return read;
}

function flag(key: string, choice: InferParameter['parameterChoice']): boolean {
  if (choice?.$case !== 'boolParam') {
    throw invalidArgument(`invalid value type for '${key}' parameter, expected bool_param.`);
  }
  return choice.value;
}

function checkCustomParameter(key: string, choice: InferParameter['parameterChoice']): void {
  if (key.startsWith('triton_')) {
    throw invalidArgument(
      `parameter keys starting with 'triton_' are reserved for Triton usage. Only the following keys starting with ` +
        `'triton_' are allowed: ${emptyFinalResponse}`,
    );
  }
  if (choice === undefined || choice.$case === 'uint64Param') {
    throw invalidArgument(
      `invalid value type for '${key}' parameter, expected int64_param, bool_param, or string_param.`,
    );
  }
}

/** Where a tensor is in shared memory. */
export interface SharedMemoryReference {
  region: string;
  offset: bigint;
  byteSize: bigint;
}

/** Reads the shared memory parameters of a tensor; `undefined` when it has none. Throws INVALID_ARGUMENT for invalid ones. */
export function readSharedMemory(tensor: { name: string; parameters: Parameters }): SharedMemoryReference | undefined {
  const { name, parameters } = tensor;
  const region = parameters.shared_memory_region?.parameterChoice;
  const hasRegion = parameters.shared_memory_region !== undefined;
  if (hasRegion && region?.$case !== 'stringParam') {
    throw invalidArgument(
      `invalid value type for 'shared_memory_region' parameter for tensor '${name}', expected string_param.`,
    );
  }
  const offset = number(tensor, 'shared_memory_offset', hasRegion);
  const byteSize = number(tensor, 'shared_memory_byte_size', hasRegion);
  if (region?.$case !== 'stringParam') {
    return undefined;
  }
  if (byteSize === undefined) {
    throw invalidArgument(
      `'shared_memory_byte_size' must be specified along with 'shared_memory_region' parameter for tensor '${name}'`,
    );
  }
  return { region: region.value, offset: offset ?? 0n, byteSize };
}

function number(
  { name, parameters }: { name: string; parameters: Parameters },
  key: string,
  hasRegion: boolean,
): bigint | undefined {
  const parameter = parameters[key];
  if (parameter === undefined) {
    return undefined;
  }
  if (!hasRegion) {
    throw invalidArgument(
      `'${key}' can not be specified without 'shared_memory_region' parameter for tensor '${name}'`,
    );
  }
  if (parameter.parameterChoice?.$case !== 'int64Param') {
    throw invalidArgument(`invalid value type for '${key}' parameter for tensor '${name}', expected int64_param.`);
  }
  return parameter.parameterChoice.value;
}

/** How many classes of an output are wanted; `undefined`: the output itself. */
export function readClassification(parameters: Parameters): number | undefined {
  const parameter = parameters.classification;
  if (parameter === undefined) {
    return undefined;
  }
  const choice = parameter.parameterChoice;
  if (choice?.$case !== 'int64Param') {
    throw invalidArgument("invalid value type for 'classification' parameter, expected int64_param");
  }
  if (choice.value <= 0n) {
    throw invalidArgument("invalid value for 'classification' parameter, expected >= 0");
  }
  return Number(choice.value);
}
