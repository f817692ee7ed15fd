import { describe, expect, test } from '@jest/globals';
import { ModelProto } from '../../proto/gen/onnx/onnx.ts';
import { tensorSpec } from '../../services/pipeline/networks/network-interface.ts';
import { ParameterList } from '../checkpoints/parameter-list.ts';
import { Graph } from './graph.ts';
import { convolution, halvingConvolution } from './layers.ts';
import { concat, type Layer, named, when } from './value.ts';

const newGraph = () => new Graph('test', new ParameterList());

describe('a value knows its type and, as far as possible, its shape', () => {
  const frames = () => newGraph().input('x', tensorSpec('float32', 'videos', 15, 4, 'height', 'width'));

  test('sizes that vary from call to call are followed by name', () => {
    const x = frames();
    const folded = x.reshape(-1, 4, x.sizes(3, 5));
    expect(folded.shape).toEqual(['15*videos', 4, 'height', 'width']);
    expect(folded.through(halvingConvolution('halved')).shape).toEqual(['15*videos', 4, '0.5*height', '0.5*width']);
    expect(folded.reshape(x.sizes(0, 2), 4, x.sizes(3, 5)).shape).toEqual(['videos', 15, 4, 'height', 'width']);
    expect(folded.reshape(0, 4, -1).shape).toEqual(['15*videos', 4, 'height*width']);
  });

  test('parameters take their sizes from their inputs', () => {
    const list = new ParameterList();
    const x = new Graph('test', list).input('x', tensorSpec('float32', 'n', 4, 'height', 'width'));
    const layer = convolution('conv', { to: 6, kernel: 3, padding: 1 });
    const y = concat([x, x], 1).through(named('block', layer));
    expect(y.shape).toEqual(['n', 6, 'height', 'width']);
    expect([...list.shapes]).toEqual([
      ['block.conv.weight', [6, 8, 3, 3]],
      ['block.conv.bias', [6]],
    ]);
  });

  test('types', () => {
    const x = frames();
    expect(x.sizes(0, 1).type).toBe('int64');
    expect(x.cast('uint8').type).toBe('uint8');
    expect(x.sizes(0, 1).plus(1).type).toBe('int64');
    expect(x.sizes(0, 1).node('Equal', [x.graph.integers([3])]).type).toBe('bool');
  });

  test('a layer that a network lacks changes nothing', () => {
    const x = frames();
    const absent = when(false, () => {
      throw new Error('must not be made');
    });
    expect(x.through(absent)).toBe(x);
  });
});

describe('mismatches are rejected while building, by the name of the node', () => {
  test('shapes', () => {
    const input = () => newGraph().input('x', tensorSpec('float32', 'n', 3));
    const sum: Layer = (x) => x.plus(x.graph.floats([1, 2]));
    expect(() => input().through(named('layer', sum))).toThrow(
      'node layer/Add_0: shapes [n,3] and [2] do not fit together',
    );
    expect(() => input().reshape(2, 3).reshape(4)).toThrow("node Reshape_1: [2,3] can't be reshaped to [4]");
  });

  test('a rank known only at run time', () => {
    const x = newGraph().input('x', tensorSpec('float32', 'n'));
    expect(() => x.reshape(x.cast('int64'))).toThrow('node Reshape_1: the rank of the result depends on what is known');
  });

  test('a size known only at run time', () => {
    const x = newGraph().input('x', tensorSpec('float32', 'n', 3));
    expect(() => x.size(0)).toThrow('x [n,3]: the size of axis 0 must be a number');
    expect(x.size(-1)).toBe(3);
  });

  test('an operator without shape inference', () => {
    const x = newGraph().input('x', tensorSpec('float32', 3));
    expect(() => x.node('Einsum')).toThrow('node Einsum_0: operator Einsum has no shape rule');
  });

  test('outputs of a different type than declared', () => {
    const graph = newGraph();
    const x = graph.input('x', tensorSpec('float32', 3));
    expect(() => graph.gives({ frames: tensorSpec('uint8', 3) }, { frames: x })).toThrow(
      'output frames must be uint8 (got float32)',
    );
    expect(() => graph.output('y', x.cast('bfloat16'))).toThrow(/output y must be one of .* \(got bfloat16\)/);
  });
});

test('values shared by several modules are created once', () => {
  const graph = newGraph();
  const x = graph.input('x', tensorSpec('float32', 'n', 3));
  graph.output('y', x.reshape(x.sizes(0, 1), 3).reshape(x.sizes(0, 1), 3, 1));
  const { node } = ModelProto.decode(graph.encode()).graph!;
  expect(node.filter(({ opType }) => opType === 'Shape')).toHaveLength(1);
});
