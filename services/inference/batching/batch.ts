import type { ModelConfig, ModelOutput } from '../../../proto/gen/model_config.ts';
import { bytesOffsets } from '../../pipeline/bytes-elements.ts';
import { elementTypeOfConfig } from '../datatypes.ts';
import { internal } from '../errors.ts';
import type { Feed, RunRequest, RunResult } from '../execution/session-messages.ts';
import { bufferOf } from '../execution/spare-buffers.ts';
import type { ModelOutputs, ModelRequest } from '../model.ts';
import { reshape } from '../shapes.ts';
import type { WireTensor } from '../tensors.ts';

/**
 * Joins requests along the batch into one run. Each input is copied once, into the buffer that goes to the worker, unless a
 * single request owns it.
 */
export function joinRequests(requests: readonly ModelRequest[]): RunRequest {
  const first = requests[0]!;
  const feeds = [...first.inputs].map(([name, { type, shape }]): Feed => {
    const parts = requests.map((request) => request.inputs.get(name)!);
    const dims = shape.map(Number);
    if (requests.length > 1) {
      dims[0] = requests.reduce((sum, request) => sum + request.batchSize, 0);
    }
    return { name, runtimeType: type.runtimeName, dims, data: concatenate(parts) };
  });
  return { feeds, fetches: [...new Set(requests.flatMap((request) => request.outputs))] };
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
    const shape = output.dims.map(BigInt);
    if (config.maxBatchSize === 0) {
      shares[0]!.set(output.name, { type, shape: declaredShape(shape, declared), data });
      continue;
    }
    const items = requests.reduce((sum, request) => sum + Math.max(1, request.batchSize), 0);
    const [batch, ...itemShape] = shape;
    if (batch !== BigInt(items)) {
      throw internal(`output '${output.name}' of model '${config.name}' has ${batch} batch items, expected ${items}`);
    }
    const rest = declaredShape(itemShape, declared);
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
