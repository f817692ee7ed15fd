import { ModelProto } from '../../proto/gen/onnx/onnx.ts';
import type { ParameterType, Weights } from '../checkpoints/weights.ts';
import { type Endpoint, Graph } from '../graphs/graph.ts';
import type { NamedNetwork } from '../networks/preset-networks.ts';
import { applyPrecision, type PrecisionOptions } from './apply-precision.ts';
import { checkOperators } from './check-operators.ts';
import { lowerGraph } from './lower-graph.ts';

export interface TensorrtModel {
  proto: ModelProto;
  /** The precision in which each parameter is read. */
  weightTypes: ReadonlyMap<string, ParameterType>;
  /** Inputs and outputs as served: float32, whatever is used inside. */
  inputs: readonly Endpoint[];
  outputs: readonly Endpoint[];
}

/**
 * Builds a network for TensorRT: in its operators and types, and in the given precision where that is harmless. Throws
 * FAILED_PRECONDITION naming each node that TensorRT does not support.
 */
export function tensorrtModel(
  { name, build, allowsHalf }: Pick<NamedNetwork, 'name' | 'build' | 'allowsHalf'>,
  weights: Weights,
  options: Omit<PrecisionOptions, 'allowsHalf'>,
): TensorrtModel {
  const builder = new Graph(name, weights);
  build(builder);
  const model = ModelProto.decode(builder.encode());
  // Its values get other types, and TensorRT finds their shapes by itself.
  const plain = { ...model.graph!, valueInfo: [] };
  const { graph, weightTypes } = applyPrecision(lowerGraph(plain), { ...options, allowsHalf });
  const proto = { ...model, graph };
  checkOperators(proto);
  return { proto, weightTypes, inputs: builder.inputs, outputs: builder.outputs };
}
