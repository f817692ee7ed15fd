import type { ModelConfig, ModelOutput } from '../../../proto/gen/model_config.ts';
import { bufferOf } from '../../kit/spare-buffers.ts';
import { bytesOffsets } from '../../pipeline/bytes-elements.ts';
import { elementTypeOfConfig } from '../datatypes.ts';
import { internal } from '../errors.ts';
import type { Feed, RunRequest, RunResult } from '../execution/session-messages.ts';
import type { ModelOutputs, ModelRequest } from '../model.ts';
import { reshape } from '../shapes.ts';
import type { RegionLease } from '../shared-memory.ts';
import { inMemory, type WireTensor } from '../tensors.ts';

/** A run, and what must be called when it has ended. */
export interface JoinedRequests {
  run: RunRequest;
  end(): void;
}

/**
 * Joins requests along the batch into one run. Each input is copied once, into the buffer that goes to the worker, unless a
 * single request owns it. For a single request, the worker itself reads and writes shared memory.
 *
 * @param requests if there are several, their inputs are all in memory
 */
export function joinRequests(requests: readonly ModelRequest[]): JoinedRequests {
  const first = requests[0]!;
  const ends: (() => void)[] = [];
  const hold = (lease: RegionLease) => {
    const [range, end] = lease.hold();
    ends.push(end);
    return range;
  };
  const feeds = [...first.inputs].map(([name, tensor]): Feed => {
    const { type, shape } = tensor;
    if (requests.length === 1 && 'region' in tensor) {
      return { name, runtimeType: type.runtimeName, dims: shape.map(Number), data: hold(tensor.region) };
    }
    const parts = requests.map((request) => inMemory(request.inputs.get(name)!));
    const dims = shape.map(Number);
    if (requests.length > 1) {
      dims[0] = requests.reduce((sum, request) => sum + request.batchSize, 0);
    }
    return { name, runtimeType: type.runtimeName, dims, data: concatenate(parts) };
  });
  const fetches = [...new Set(requests.flatMap((request) => request.outputs))];
  const wanted = requests.length === 1 ? [...(first.places ?? [])] : [];
  const places = Object.fromEntries(wanted.map(([name, lease]) => [name, hold(lease)]));
  const endAll = () => {
    for (const end of ends) {
      end();
    }
  };
  return { run: { feeds, fetches, places }, end: endAll };
}

function concatenate(parts: readonly WireTensor[]): Uint8Array<ArrayBuffer> {
  const [first] = parts;
  if (parts.length === 1 && first!.isOwned) {
    return first!.data as Uint8Array<ArrayBuffer>;
  }
  const size = parts.reduce((sum, part) => sum + part.data.byteLength, 0);
  const joined = bufferOf(size);
  let position = 0;
  for (const { data } of parts) {
    joined.set(data, position);
    position += data.byteLength;
  }
  return joined;
}

/**
 * Each request's share of the outputs, in the order of the requests; nothing is copied. Throws INTERNAL if an output
 * has another batch size than the inputs.
 */
export function splitOutputs(
  result: RunResult,
  requests: readonly ModelRequest[],
  config: ModelConfig,
): ModelOutputs[] {
  const shares = requests.map((): ModelOutputs => new Map());
  for (const output of result.outputs) {
    const declared = config.output.find(({ name }) => name === output.name)!;
    const type = elementTypeOfConfig(declared.dataType)!;
    const data = new Uint8Array(output.data);
    const isPlaced = output.isPlaced ?? false;
    const shape = output.dims.map(BigInt);
    if (config.maxBatchSize === 0) {
      shares[0]!.set(output.name, { type, shape: declaredShape(shape, declared), data, isPlaced });
      continue;
    }
    const items = requests.reduce((sum, request) => sum + Math.max(1, request.batchSize), 0);
    const [batch, ...itemShape] = shape;
    if (batch !== BigInt(items)) {
      throw internal(`output '${output.name}' of model '${config.name}' has ${batch} batch items, expected ${items}`);
    }
    const rest = declaredShape(itemShape, declared);
    if (isPlaced) {
      shares[0]!.set(output.name, { type, shape: [batch, ...rest], data, isPlaced });
      continue;
    }
    const boundary = itemBoundaries(type.size === 0 ? bytesOffsets(data) : undefined, data.byteLength, items);
    let start = 0;
    for (const [index, request] of requests.entries()) {
      const end = start + Math.max(1, request.batchSize);
      const share = data.subarray(boundary(start), boundary(end));
      if (request.outputs.includes(output.name)) {
        shares[index]!.set(output.name, { type, shape: [BigInt(end - start), ...rest], data: share });
      }
      start = end;
    }
  }
  return shares;
}

/** Byte position of a batch item. */
function itemBoundaries(offsets: number[] | undefined, byteLength: number, items: number): (item: number) => number {
  if (!offsets) {
    return (item) => (byteLength / items) * item;
  }
  const elementsAnItem = (offsets.length - 1) / items;
  return (item) => offsets[elementsAnItem * item]!;
}

function declaredShape(shape: bigint[], declared: ModelOutput): bigint[] {
  return declared.reshape ? reshape(shape, declared.reshape.shape, declared.dims) : shape;
}
