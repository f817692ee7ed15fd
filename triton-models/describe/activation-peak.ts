import type { GraphProto } from '../../proto/gen/onnx/onnx.ts';
import type { FixedTypeName } from '../../services/pipeline/element-types.ts';
import { byteSize } from '../../services/pipeline/tensor.ts';
import type { SizedFact } from './infer-shapes.ts';

/** The precision in which float32 tensors of the graph would run. */
export type Precision = 'float32' | 'float16';

/** Operators whose outputs share their input's memory. */
const views = new Set(['Reshape', 'Identity', 'Unsqueeze']);

/**
 * Peak size of inputs, outputs and intermediate tensors when a graph's nodes run in order, with each tensor alive from
 * the node that creates it to the last that reads it. Excludes parameters and the kernels' scratch memory. Assumes that
 * no operators are fused and none works in place, so a compiled engine needs less.
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
