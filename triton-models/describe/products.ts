import type { GraphProto, NodeProto } from '../../proto/gen/onnx/onnx.ts';
import { elementCount } from '../../services/pipeline/tensor.ts';
import type { SizedFact } from './infer-shapes.ts';

/**
 * Floating-point operations of a graph's convolutions and matrix products, two per multiply-add. Everything else is
 * excluded: biases, norms, activations and softmax are bound by memory, not by arithmetic.
 */
export function productOperations(graph: GraphProto, facts: ReadonlyMap<string, SizedFact>): number {
  return graph.node.reduce((sum, node) => sum + 2 * multiplications(node, facts), 0);
}

function multiplications(node: NodeProto, facts: ReadonlyMap<string, SizedFact>): number {
  const [a, b] = node.input.map((name) => facts.get(name)?.shape ?? []) as [readonly number[], readonly number[]];
  const out = facts.get(node.output[0]!)!.shape;
  switch (node.opType) {
    case 'Conv':
      return elementCount(out) * elementCount(b.slice(1));
    case 'ConvTranspose':
      return elementCount(a) * elementCount(b.slice(1));
    case 'Gemm':
    case 'MatMul':
      return elementCount(out) * a.at(-1)!;
    default:
      return 0;
  }
}
