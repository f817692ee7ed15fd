import { expect, test } from '@jest/globals';
import { ModelProto, TensorProto_DataType } from '../../proto/gen/onnx/onnx.ts';
import { onnxModel } from '../inference/testing.ts';
import { bfloat16AsFloat32 } from './bfloat16-graph.ts';

test('bfloat16 inputs and outputs become float32 under their names, cast at the edges', () => {
  const model = onnxModel(
    [
      ['Relu', ['X'], ['middle']],
      ['Add', ['X', 'middle'], ['Y']],
    ],
    { X: [-1] },
    { Y: [-1] },
    TensorProto_DataType.BFLOAT16,
  );
  const rewritten = bfloat16AsFloat32(model);
  expect([...rewritten.names]).toEqual(['X', 'Y']);
  const graph = ModelProto.decode(rewritten.model).graph!;
  const elementTypes = [...graph.input, ...graph.output].map(({ name, type }) => [name, type?.value?.value.elemType]);
  expect(elementTypes).toEqual([
    ['X', TensorProto_DataType.FLOAT],
    ['Y', TensorProto_DataType.FLOAT],
  ]);
  expect(graph.node.map(({ opType, input, output }) => [opType, input, output])).toEqual([
    ['Cast', ['X'], ['X/bfloat16']],
    ['Relu', ['X/bfloat16'], ['middle']],
    ['Add', ['X/bfloat16', 'middle'], ['Y/bfloat16']],
    ['Cast', ['Y/bfloat16'], ['Y']],
  ]);
});
