import type { ModelInferRequest } from '../../../proto/gen/grpc_service.ts';
import { holdsOneMessage } from '../../kit/messages/receive-in-place.ts';
import { invalidArgument, requestPrefix } from '../errors.ts';
import type { RegionLease, SharedMemory } from '../shared-memory.ts';
import { type RequestParameters, readClassification, readParameters, readSharedMemory } from './parameters.ts';
import { bytesOfContents } from './typed-contents.ts';

/** An input as the caller sent it, not yet checked against the model. */
export interface GivenInput {
  readonly datatype: string;
  readonly shape: readonly bigint[];
  readonly byteLength: number;
  /** The bytes, which may still be in shared memory: their number is checked first. */
  read(): Uint8Array;
  /** Where in shared memory they are. */
  readonly region?: RegionLease;
  /** Whether only inputs of this request are in the buffer that `read` gives. */
  readonly isOwned?: boolean;
}

/** An input whose bytes are in memory. */
export function givenInput(datatype: string, shape: readonly bigint[], data: Uint8Array): GivenInput {
  return { datatype, shape, byteLength: data.byteLength, read: () => data };
}

/** An input whose bytes are in shared memory. */
export function inRegion(datatype: string, shape: readonly bigint[], region: RegionLease): GivenInput {
  return { datatype, shape, byteLength: region.byteSize, read: region.read, region, isOwned: true };
}

/** How the caller wants an output. */
export interface WantedOutput {
  /** As this many best classes instead of the tensor. */
  classes: number | undefined;
  /** Into shared memory instead of the answer. */
  region: RegionLease | undefined;
}

/** A request with its data. Release it when its answer is written. */
export interface GivenRequest {
  id: string;
  parameters: RequestParameters;
  inputs: Map<string, GivenInput>;
  /** Empty: all outputs. */
  outputs: Map<string, WantedOutput>;
  release(): void;
}

/**
 * Reads what can be read without the model's configuration, in the order in which Triton finds faults. Throws
 * INVALID_ARGUMENT, or NOT_FOUND for an unknown shared memory region.
 */
export function readRequest(request: ModelInferRequest, sharedMemory: SharedMemory): GivenRequest {
  const parameters = readParameters(request.parameters);
  refuseRepeated('input', request.inputs, request.id);
  refuseRepeated('output', request.outputs, request.id);
  const outputs = new Map<string, WantedOutput>();
  const leases: RegionLease[] = [];
  const release = () => {
    for (const lease of leases) {
      lease.release();
    }
  };
  try {
    const inputs = readInputs(request, sharedMemory, leases);
    for (const output of request.outputs) {
      const reference = readSharedMemory(output);
      const classes = readClassification(output.parameters);
      if (reference && classes !== undefined) {
        throw invalidArgument("output can't set both 'shared_memory_region' and 'classification'");
      }
      const region = reference && sharedMemory.lease(reference.region, reference.offset, reference.byteSize);
      if (region) {
        leases.push(region);
      }
      outputs.set(output.name, { classes, region });
    }
    return { id: request.id, parameters, inputs, outputs, release };
  } catch (error) {
    release();
    throw error;
  }
}

function readInputs(
  request: ModelInferRequest,
  sharedMemory: SharedMemory,
  leases: RegionLease[],
): Map<string, GivenInput> {
  const { modelName, rawInputContents: raw } = request;
  const inputs = new Map<string, GivenInput>();
  let nextRaw = 0;
  for (const input of request.inputs) {
    const { name, datatype, shape, contents } = input;
    const reference = readSharedMemory(input);
    let data: Uint8Array;
    if (reference) {
      if (contents) {
        throw invalidArgument(
          `unexpected 'content' provided when using shared memory for input tensor '${name}' for model '${modelName}'`,
        );
      }
      const lease = sharedMemory.lease(reference.region, reference.offset, reference.byteSize);
      leases.push(lease);
      inputs.set(name, inRegion(datatype, shape, lease));
      continue;
    } else if (contents && raw.length > 0) {
      throw invalidArgument(
        `contents field must not be specified when using raw_input_contents for '${name}' for model '${modelName}'`,
      );
    } else if (contents) {
      data = bytesOfContents({ name, datatype, contents }, modelName);
    } else if (nextRaw < raw.length) {
      data = raw[nextRaw++]!;
    } else {
      throw invalidArgument(`unable to find data for input tensor '${name}' for model '${modelName}' in request.`);
    }
    inputs.set(name, { ...givenInput(datatype, shape, data), isOwned: holdsOneMessage(data.buffer) });
  }
  return inputs;
}

function refuseRepeated(kind: string, tensors: readonly { name: string }[], id: string): void {
  const names = new Set<string>();
  for (const { name } of tensors) {
    if (names.has(name)) {
      throw invalidArgument(`${requestPrefix(id)}${kind} '${name}' already exists in request`);
    }
    names.add(name);
  }
}
