import { encodeBytesElements } from '../../pipeline/bytes-elements.ts';
import { elementsOf, type FixedTypeName } from '../../pipeline/element-types.ts';
import { elementTypeNamed } from '../datatypes.ts';
import { invalidArgument } from '../errors.ts';
import type { WireTensor } from '../tensors.ts';

const maxClassCount = 1_000_000;

/**
 * The best classes of each batch item as BYTES `value:index[:label]`, best first, equal ones in index order.
 * Throws INVALID_ARGUMENT for FP16, BF16, BOOL and BYTES, which have no order here.
 *
 * @param scores [batch, ...] with batching, [...] without
 * @param wanted how many; at most all are returned
 */
export function classify(
  name: string,
  scores: WireTensor,
  isBatching: boolean,
  wanted: number,
  labels: readonly string[],
): WireTensor {
  const values = valuesOf(name, scores);
  const batch = isBatching ? Number(scores.shape[0]) : 1;
  const classes = batch === 0 ? 0 : values.length / batch;
  if (classes > maxClassCount) {
    throw invalidArgument(`classification output '${name}' is too large`);
  }
  const isFloat = scores.type.name.startsWith('FP');
  const count = Math.min(wanted, classes);
  const elements: Uint8Array[] = [];
  for (let item = 0; item < batch; item++) {
    const valueAt = (index: number) => values[item * classes + index]!;
    const best = Array.from({ length: classes }, (_, index) => index).sort((a, b) =>
      valueAt(a) === valueAt(b) ? a - b : valueAt(a) > valueAt(b) ? -1 : 1,
    );
    for (const index of best.slice(0, count)) {
      const value = valueAt(index);
      const text = isFloat ? Number(value).toFixed(6) : String(value);
      elements.push(Buffer.from([text, index, ...(labels[index] ? [labels[index]] : [])].join(':')));
    }
  }
  const shape = isBatching ? [BigInt(batch), BigInt(count)] : [BigInt(count)];
  return { type: elementTypeNamed('BYTES')!, shape, data: encodeBytesElements(elements) };
}

/** Their elements have no order here. */
const unordered: readonly string[] = ['BOOL', 'FP16', 'BF16', 'BYTES'];

function valuesOf(name: string, { type, data }: WireTensor): ArrayLike<number | bigint> {
  if (unordered.includes(type.name)) {
    throw invalidArgument(`class result not available for output '${name}' due to unsupported type '${type.name}'`);
  }
  return elementsOf(type.runtimeName as FixedTypeName, data);
}
