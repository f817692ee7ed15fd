import { bytesPerElement as bytesOf, elementTypes, type NamesIn, typesIn } from '../element-types.ts';
import { elementCount } from '../tensor.ts';

/** Element types of stored tensors, by the names of the safetensors format. */
export type ElementType = NamesIn<'safetensors'>;

/** Bytes that an element takes. */
export const bytesPerElement = Object.fromEntries(
  typesIn('safetensors').map((type) => [elementTypes[type].safetensors, bytesOf(type)]),
) as Readonly<Record<ElementType, number>>;

/** Bytes that a tensor takes when its elements lie one after the other. */
export function byteLength(dataType: ElementType, shape: readonly number[]): number {
  return bytesPerElement[dataType] * elementCount(shape);
}
