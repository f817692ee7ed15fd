import { Tensor } from 'onnxruntime-node';
import { decodeBytesElements, encodeBytesElements } from '../../pipeline/bytes-elements.ts';
import type { Feed, Fetched } from './session-messages.ts';

/** The caller's data cannot be a tensor of this runtime. */
export class InvalidInputError extends Error {}

type NumberArray = new (buffer: ArrayBuffer) => Tensor.DataType & ArrayBufferView;

const arrays: Record<string, NumberArray> = {
  bool: Uint8Array,
  uint8: Uint8Array,
  uint16: Uint16Array,
  uint32: Uint32Array,
  uint64: BigUint64Array,
  int8: Int8Array,
  int16: Int16Array,
  int32: Int32Array,
  int64: BigInt64Array,
  float16: Uint16Array,
  float32: Float32Array,
  float64: Float64Array,
};

/** The runtime's tensor over the feed's own buffer; only text and bfloat16 are copied. */
export function toRuntimeTensor(feed: Feed): Tensor {
  if (feed.runtimeType === 'string') {
    return new Tensor('string', decodeTexts(feed), feed.dims);
  }
  if (feed.runtimeType === 'bfloat16') {
    return new Tensor('float32', expandBfloat16(feed.data), feed.dims);
  }
  const data = new arrays[feed.runtimeType]!(feed.data);
  return new Tensor(feed.runtimeType as 'float32', data as Float32Array, feed.dims);
}

/** An output's bytes, in a buffer of their own. */
export function fromRuntimeTensor(name: string, tensor: Tensor, isBfloat16: boolean): Fetched {
  const dims = [...tensor.dims];
  if (tensor.type === 'string') {
    const encoder = new TextEncoder();
    const elements = (tensor.data as string[]).map((text) => encoder.encode(text));
    return { name, dims, data: encodeBytesElements(elements).buffer as ArrayBuffer };
  }
  if (isBfloat16) {
    return { name, dims, data: shortenToBfloat16(tensor.data as Float32Array) };
  }
  const view = tensor.data as unknown as ArrayBufferView<ArrayBuffer>;
  const isWhole = view.byteOffset === 0 && view.byteLength === view.buffer.byteLength;
  return {
    name,
    dims,
    data: isWhole ? view.buffer : view.buffer.slice(view.byteOffset, view.byteOffset + view.byteLength),
  };
}

function decodeTexts(feed: Feed): string[] {
  const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });
  return decodeBytesElements(new Uint8Array(feed.data)).map((element, index) => {
    try {
      return decoder.decode(element);
    } catch {
      throw new InvalidInputError(
        `element ${index} of input '${feed.name}' is not UTF-8 text, the only BYTES taken here`,
      );
    }
  });
}

function expandBfloat16(data: ArrayBuffer): Float32Array {
  const halves = new Uint16Array(data);
  const words = new Uint32Array(halves.length);
  for (let index = 0; index < halves.length; index++) {
    words[index] = halves[index]! << 16;
  }
  return new Float32Array(words.buffer);
}

function shortenToBfloat16(values: Float32Array): ArrayBuffer {
  const words = new Uint32Array(values.buffer, values.byteOffset, values.length);
  const halves = new Uint16Array(words.length);
  for (let index = 0; index < words.length; index++) {
    halves[index] = words[index]! >>> 16;
  }
  return halves.buffer;
}
