import { Status } from 'nice-grpc-common';
import { FusionError } from '../../kit/errors.ts';
import { type Tensor, tensorBytes, tensorFromBytes } from '../../pipeline/tensor.ts';

type Tensors = Readonly<Record<string, Tensor>>;

/** Number of batch items of a request. */
export function itemsOf(inputs: Tensors): number {
  return Object.values(inputs)[0]!.shape[0]!;
}

/** A text that is equal for requests which can be joined: names and shapes without the batch. */
export function shapeKeyOf(inputs: Tensors): string {
  return Object.entries(inputs)
    .map(([name, { shape }]) => `${name}:${shape.slice(1)}`)
    .sort()
    .join(';');
}

/** Joins the inputs of requests along the batch; copies them. All have the same names and types, and shapes but for the batch. */
export function joinInputs(requests: readonly Tensors[]): Record<string, Tensor> {
  const items = requests.reduce((sum, inputs) => sum + itemsOf(inputs), 0);
  return mapEntries(requests[0]!, (name, { dataType, shape: [, ...itemShape] }) => {
    const parts = requests.map((inputs) => tensorBytes(inputs[name]!));
    const joined = new Uint8Array(parts.reduce((sum, { byteLength }) => sum + byteLength, 0));
    let position = 0;
    for (const part of parts) {
      joined.set(part, position);
      position += part.byteLength;
    }
    return tensorFromBytes(dataType, [items, ...itemShape], joined);
  });
}

/**
 * Each request's share of the outputs, copied. Throws INTERNAL if an output has not as many batch items as the requests.
 *
 * @param counts the requests' numbers of batch items
 */
export function splitOutputs(outputs: Tensors, counts: readonly number[]): Record<string, Tensor>[] {
  const items = counts.reduce((sum, count) => sum + count, 0);
  let start = 0;
  return counts.map((count) => {
    const [from, to] = [start, start + count];
    start = to;
    return mapEntries(outputs, (name, output) => {
      const { dataType, shape } = output;
      const [batch = 0, ...itemShape] = shape;
      if (batch !== items) {
        throw new FusionError(Status.INTERNAL, `output ${name} has ${batch} batch items, expected ${items}`);
      }
      const bytes = tensorBytes(output);
      const position = (item: number) => (bytes.byteLength / items) * item;
      return tensorFromBytes(dataType, [count, ...itemShape], bytes.slice(position(from), position(to)));
    });
  });
}

function mapEntries<A, B>(record: Readonly<Record<string, A>>, map: (name: string, value: A) => B): Record<string, B> {
  return Object.fromEntries(Object.entries(record).map(([name, value]) => [name, map(name, value)]));
}
