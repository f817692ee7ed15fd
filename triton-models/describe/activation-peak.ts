import type { GraphProto } from '../../proto/gen/onnx/onnx.ts';
import type { FixedTypeName } from '../../services/pipeline/element-types.ts';
import { byteSize } from '../../services/pipeline/tensor.ts';
import type { SizedFact } from './infer-shapes.ts';

/** Bytes of an element; what is float32 in the graph takes what the precision says. */
export type Precision = 'float32' | 'float16';

/** They give the bytes that they take. */
const views = new Set(['Reshape', 'Identity', 'Unsqueeze']);

/**
 * Most bytes of inputs, outputs and intermediate tensors that exist at once when a graph's nodes run one after the
 * other, each tensor from the node that makes it to the last one that reads it. Parameters are not counted, nor is what
 * kernels need while they run. No operators are fused and none works in place, so a compiled engine needs less.
 */
export function activationPeak(graph: GraphProto, facts: ReadonlyMap<string, SizedFact>, precision: Precision): number {
  const constants = new Set(graph.initializer.map(({ name }) => name));
  const bufferOf = new Map<string, string>();
  const buffer = (name: string): string => bufferOf.get(name) ?? name;
  for (const { opType, input, output } of graph.node) {
    if (views.has(opType)) {
      bufferOf.set(output[0]!, buffer(input[0]!));
    }
  }
  const bytes = (name: string): number => {
    const { type, shape } = facts.get(name)!;
    return byteSize(type === 'float32' ? precision : (type as FixedTypeName), shape);
  };

  const lastReader = new Map<string, number>();
  graph.node.forEach(({ input }, index) => {
    for (const name of input.filter((each) => each !== '' && !constants.has(buffer(each)))) {
      lastReader.set(buffer(name), index);
    }
  });
  for (const { name } of graph.output) {
    lastReader.set(buffer(name), Number.POSITIVE_INFINITY);
  }

  const existing = new Map(graph.input.map(({ name }) => [name, bytes(name)]));
  let current = [...existing.values()].reduce((sum, size) => sum + size, 0);
  let peak = current;
  graph.node.forEach(({ input, output }, index) => {
    for (const name of output.filter((each) => buffer(each) === each)) {
      existing.set(name, bytes(name));
      current += bytes(name);
    }
    peak = Math.max(peak, current);
    for (const name of [...input, ...output].map(buffer)) {
      if ((lastReader.get(name) ?? index) <= index && existing.has(name)) {
        current -= existing.get(name)!;
        existing.delete(name);
      }
    }
  });
  return peak;
}
