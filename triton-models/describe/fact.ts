import type { TensorProto_DataType as ElementType } from '../../proto/gen/onnx/onnx.ts';

/** What is known of a tensor in a graph before anything runs. */
export interface Fact {
  elementType: ElementType;
  shape: readonly number[];
  /** The elements, where they decide shapes further on: small constants and what is computed from sizes. */
  values?: readonly number[];
}
