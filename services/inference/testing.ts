import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { ModelProto, TensorProto_DataType, ValueInfoProto } from '../../proto/gen/onnx/onnx.ts';
import { makeTemporaryFolder } from '../kit/temporary-folder.ts';

/** A node of a model for a test: operator, inputs, outputs. */
export type TestNode = [operator: string, inputs: string[], outputs: string[]];

/** An ONNX model of plain operators; its tensors are float32 unless another type is given. −1 is a free dimension. */
export function onnxModel(
  nodes: TestNode[],
  inputs: Record<string, number[]>,
  outputs: Record<string, number[]>,
  elementType: number = TensorProto_DataType.FLOAT,
): Uint8Array {
  const describe = (tensors: Record<string, number[]>) =>
    Object.entries(tensors).map(([name, shape]) =>
      ValueInfoProto.fromPartial({
        name,
        type: {
          value: { $case: 'tensorType', value: { elemType: elementType, shape: { dim: shape.map(dimension) } } },
        },
      }),
    );
  const model = ModelProto.fromPartial({
    irVersion: 10n,
    opsetImport: [{ domain: '', version: 20n }],
    graph: {
      name: 'test',
      node: nodes.map(([opType, input, output]) => ({ opType, input, output })),
      input: describe(inputs),
      output: describe(outputs),
    },
  });
  return ModelProto.encode(model).finish();
}

function dimension(size: number, index: number) {
  return size < 0
    ? { value: { $case: 'dimParam' as const, value: `n${index}` } }
    : { value: { $case: 'dimValue' as const, value: BigInt(size) } };
}

/** Y = X + X for X of [batch, n]. */
export function doublingModel(): Uint8Array {
  return onnxModel([['Add', ['X', 'X'], ['Y']]], { X: [-1, -1] }, { Y: [-1, -1] });
}

/** A chain of matrix products over X of [n, n] that takes a while: 2·n³ operations a product. */
export function slowModel(products: number): Uint8Array {
  const nodes = Array.from({ length: products }, (_, index): TestNode => {
    const previous = index === 0 ? 'X' : `P${index - 1}`;
    return ['MatMul', [previous, 'X'], [index === products - 1 ? 'Y' : `P${index}`]];
  });
  return onnxModel(nodes, { X: [-1, -1] }, { Y: [-1, -1] });
}

/** A folder with these files, by their path; `remove` deletes it. */
export function folderOf(files: Record<string, string | Uint8Array>): { folder: string; remove: () => void } {
  const folder = makeTemporaryFolder();
  for (const [path, content] of Object.entries(files)) {
    mkdirSync(dirname(join(folder, path)), { recursive: true });
    writeFileSync(join(folder, path), content);
  }
  return { folder, remove: () => rmSync(folder, { recursive: true, force: true }) };
}
