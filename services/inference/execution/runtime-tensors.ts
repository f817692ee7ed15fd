import { Tensor } from 'onnxruntime-node';
import { elementsOf } from '../../pipeline/element-types.ts';
import { fromBfloat16, toBfloat16 } from '../../pipeline/half-floats.ts';
import type { Feed, Fetched } from './session-messages.ts';

// Node 24 has Float16Array, which the runtime's binding cannot read. Where there is none, float16 tensors are of Uint16Array.
Reflect.deleteProperty(globalThis, 'Float16Array');

export type FeedInMemory = Feed & { data: Uint8Array<ArrayBuffer> };

/** The runtime's tensor over the feed's own buffer; only text, bfloat16 and elements that are not aligned are copied. */
export async function toRuntimeTensor(feed: FeedInMemory): Promise<Tensor> {
  if (feed.runtimeType === 'string') {
    const { decodeTexts } = await importTexts();
    return new Tensor('string', decodeTexts(feed), feed.dims);
  }
  if (feed.runtimeType === 'bfloat16') {
    return new Tensor('float32', fromBfloat16(elementsOf('bfloat16', feed.data)), feed.dims);
  }
  const data = elementsOf(feed.runtimeType, feed.data);
  return new Tensor(feed.runtimeType as 'float32', data as Float32Array, feed.dims);
}

/** An output's bytes, in a buffer of their own. */
export async function fromRuntimeTensor(name: string, tensor: Tensor, isBfloat16: boolean): Promise<Fetched> {
  const dims = [...tensor.dims];
  if (tensor.type === 'string') {
    const { encodeTexts } = await importTexts();
    return { name, dims, data: encodeTexts(tensor.data as string[]).buffer };
  }
  if (isBfloat16) {
    return { name, dims, data: toBfloat16(tensor.data as Float32Array).buffer as ArrayBuffer };
  }
  const view = tensor.data as unknown as ArrayBufferView<ArrayBuffer>;
  const isWhole = view.byteOffset === 0 && view.byteLength === view.buffer.byteLength;
  return {
    name,
    dims,
    data: isWhole ? view.buffer : view.buffer.slice(view.byteOffset, view.byteOffset + view.byteLength),
  };
}

/** Few models have texts, and every model has a thread that would spend a third of its start on this import. */
const importTexts = () => import('./text-elements.ts');
