import { ModelProto } from '../../proto/gen/onnx/onnx.ts';
import type { Weights } from '../checkpoints/weights.ts';
import { type Endpoint, Graph } from '../graphs/graph.ts';
import type { NamedNetwork } from '../networks/preset-networks.ts';
import { checkOperators } from './check-operators.ts';
import { halveGraph, type WeightType } from './half-precision.ts';
import { lowerGraph } from './lower-graph.ts';

export interface TensorrtModel {
  proto: ModelProto;
  /** The precision in which each parameter is read. */
  weightTypes: ReadonlyMap<string, WeightType>;
  /** Inputs and outputs as served: float32, whatever is used inside. */
  inputs: readonly Endpoint[];
  outputs: readonly Endpoint[];
}

/**
 * Builds a network for TensorRT: in its operators and types, and in half precision where that is harmless. Throws
 * FAILED_PRECONDITION naming each node that TensorRT does not support.
 */
export function tensorrtModel(
  { name, build, allowsHalf }: Pick<NamedNetwork, 'name' | 'build' | 'allowsHalf'>,
  weights: Weights,
): TensorrtModel {
  const builder = new Graph(name, weights);
  build(builder);
  const model = ModelProto.decode(builder.encode());
  const { graph, weightTypes } = halveGraph(lowerGraph(model.graph!), allowsHalf);
  const proto = { ...model, graph };
  checkOperators(proto);
  return { proto, weightTypes, inputs: builder.inputs, outputs: builder.outputs };
}
