import { ModelProto, TensorProto_DataType } from '../../proto/gen/onnx/onnx.ts';

/** Bytes of the smallest model that computes something: Y = X + X of one float32. It shows whether a runtime works. */
export function probeModel(): Uint8Array {
  const tensorType = { elemType: TensorProto_DataType.FLOAT, shape: { dim: [{ value: dimension(1n) }] } };
  const describe = (name: string) => ({ name, type: { value: { $case: 'tensorType' as const, value: tensorType } } });
  const model = ModelProto.fromPartial({
    irVersion: 10n,
    opsetImport: [{ domain: '', version: 20n }],
    graph: {
      name: 'probe',
      node: [{ opType: 'Add', input: ['X', 'X'], output: ['Y'] }],
      input: [describe('X')],
      output: [describe('Y')],
    },
  });
  return ModelProto.encode(model).finish();
}

const dimension = (value: bigint) => ({ $case: 'dimValue' as const, value });
