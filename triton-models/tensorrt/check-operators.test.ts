import { describe, expect, test } from '@jest/globals';
import { type GraphProto, ModelProto } from '../../proto/gen/onnx/onnx.ts';
import { tensorSpec } from '../../services/pipeline/networks/network-interface.ts';
import { listPresets, loadPreset } from '../../services/pipeline/preset.ts';
import { ParameterList } from '../checkpoints/parameter-list.ts';
import { Graph } from '../graphs/graph.ts';
import { type Layer, named } from '../graphs/value.ts';
import { servedModels } from '../packaging/served-models.ts';
import { checkOperators } from './check-operators.ts';
import { elementTypesOf, mainInput, typeName } from './element-types.ts';
import { lowerGraph } from './lower-graph.ts';

function modelOf(build: (g: Graph) => void): ModelProto {
  const graph = new Graph('network', new ParameterList());
  build(graph);
  const model = ModelProto.decode(graph.encode());
  return { ...model, graph: lowerGraph(model.graph!) };
}

/** The operators that a graph uses, each with the types that it uses it with. */
function operatorsOf(graph: GraphProto): string {
  const types = elementTypesOf(graph);
  const used = new Map<string, Set<string>>();
  for (const node of graph.node) {
    const known = used.get(node.opType) ?? new Set();
    used.set(node.opType, known.add(typeName(types.get(mainInput(node))!)));
  }
  const entries = [...used].map(([name, ofOperator]) => `${name}:${[...ofOperator].sort().join('/')}`);
  return entries.sort().join(' ');
}

const everywhere = {
  text_encoder:
    'Add:FLOAT/INT64 Concat:INT64 Div:FLOAT Gather:FLOAT/INT64 Gemm:FLOAT LayerNormalization:FLOAT MatMul:FLOAT ' +
    'Max:INT64 Min:INT64 Mul:FLOAT Range:INT64 ReduceMean:FLOAT Reshape:FLOAT/INT64 Shape:INT64 Sigmoid:FLOAT ' +
    'Softmax:FLOAT Sqrt:FLOAT Sub:INT64 Transpose:FLOAT Unsqueeze:BOOL/FLOAT Where:FLOAT',
  keyframe_unet:
    'Add:FLOAT And:BOOL Cast:BOOL/INT64 Concat:FLOAT/INT64 Conv:FLOAT ConvTranspose:FLOAT Cos:FLOAT Div:FLOAT/INT64 ' +
    'Equal:INT64 Expand:FLOAT Gather:FLOAT Gemm:FLOAT InstanceNormalization:FLOAT MatMul:FLOAT Mul:FLOAT Not:BOOL ' +
    'Or:BOOL Range:INT64 Reshape:BOOL/FLOAT/INT64 Shape:FLOAT Sigmoid:FLOAT Sin:FLOAT Softmax:FLOAT Split:FLOAT ' +
    'Transpose:FLOAT Unsqueeze:BOOL Where:FLOAT',
  interpolation_unet:
    'Add:FLOAT Cast:INT64 Concat:FLOAT/INT64 Conv:FLOAT ConvTranspose:FLOAT Cos:FLOAT Div:FLOAT/INT64 Expand:FLOAT ' +
    'Gather:FLOAT Gemm:FLOAT InstanceNormalization:FLOAT MatMul:FLOAT Mul:FLOAT Range:INT64 Reshape:FLOAT/INT64 ' +
    'Shape:FLOAT Sigmoid:FLOAT Sin:FLOAT Softmax:FLOAT Split:FLOAT Sub:FLOAT Transpose:FLOAT Unsqueeze:BOOL Where:FLOAT',
  movq_decoder:
    'Abs:FLOAT Add:FLOAT Cast:FLOAT Clip:FLOAT Conv:FLOAT InstanceNormalization:FLOAT Less:FLOAT MatMul:FLOAT Mul:FLOAT ' +
    'ReduceMean:FLOAT Reshape:FLOAT Resize:FLOAT Round:FLOAT Shape:FLOAT Sigmoid:FLOAT Softmax:FLOAT Transpose:FLOAT',
};

const encoder = {
  picture_encoder:
    'Add:FLOAT Conv:FLOAT InstanceNormalization:FLOAT MatMul:FLOAT Mul:FLOAT Reshape:FLOAT Shape:FLOAT ' +
    'Sigmoid:FLOAT Softmax:FLOAT Transpose:FLOAT',
};
const ofNano = { ...encoder, interpolation_unet: everywhere.interpolation_unet.replace('ConvTranspose:FLOAT ', '') };
const inLayers = { keyframe_unet: everywhere.keyframe_unet.replace('Split:FLOAT', 'Split:FLOAT Sub:FLOAT') };
const inWindows = { keyframe_unet: everywhere.keyframe_unet.replace(' Mul:FLOAT', ' Mul:FLOAT/INT64') };
const ofWindows = {
  movq_decoder:
    'Abs:FLOAT Add:FLOAT Cast:FLOAT Clip:FLOAT Concat:INT64 Conv:FLOAT Div:INT64 Gather:FLOAT ' +
    'InstanceNormalization:FLOAT Less:FLOAT MatMul:FLOAT Mul:FLOAT/INT64 Range:INT64 ReduceMean:FLOAT ' +
    'Reshape:BOOL/FLOAT/INT64 Resize:FLOAT Round:FLOAT Shape:FLOAT Sigmoid:FLOAT ' +
    'Softmax:FLOAT Sub:FLOAT Transpose:FLOAT',
};
const withoutMerges = { movq_decoder: ofWindows.movq_decoder.replace('Sub:FLOAT ', '') };

/** Where a preset's network differs from the usual. */
const exceptions: Record<string, Record<string, string>> = {
  nano: ofNano,
  'nano-conv1d-attn1d-layers': { ...ofNano, ...inLayers },
  'nano-conv1d-attn3d-blocks': { ...ofNano, ...inWindows },
  'nano-conv3d-attn1d-blocks': ofNano,
  'nano-masked-frames': ofNano,
  'paper-conv1d-attn1d-layers': inLayers,
  'paper-conv1d-attn3d-blocks': inWindows,
  'kandinsky-video-1.0-temporal-decoder': ofWindows,
  'paper-decoder-3d': withoutMerges,
  'paper-decoder-blocks-attention': withoutMerges,
  'paper-decoder-conv-3x1x1': ofWindows,
  'paper-decoder-conv-3x1x1-attention': ofWindows,
  'paper-decoder-conv-3x3x3': ofWindows,
  'kandinsky-video-1.1': {
    keyframe_unet: everywhere.keyframe_unet
      .replace('Expand:FLOAT', 'Expand:FLOAT/INT64')
      .replace('Gather:FLOAT', 'Gather:BOOL/FLOAT')
      .replace('Unsqueeze:BOOL', 'Unsqueeze:BOOL/INT64'),
    first_frame_unet: everywhere.keyframe_unet.replace('Div:FLOAT/INT64', 'Div:FLOAT').replace('Gather:FLOAT ', ''),
    picture_decoder: everywhere.movq_decoder,
    ...encoder,
    interpolation_unet: everywhere.keyframe_unet.replace('Split:FLOAT', 'Split:FLOAT Sub:FLOAT'),
    ...ofWindows,
  },
};

// Presets share most of their networks, and building a large one takes a second.
const known = new Map<string, string>();

test.each(listPresets())('%s: every network uses only what TensorRT supports', (name) => {
  const used = servedModels(loadPreset(name)).map((model) => {
    const key = JSON.stringify([model.name, model.config]);
    if (!known.has(key)) {
      const lowered = modelOf(model.build);
      expect(() => checkOperators(lowered)).not.toThrow();
      known.set(key, operatorsOf(lowered.graph!));
    }
    return [model.name, known.get(key)!];
  });
  expect(Object.fromEntries(used)).toEqual({ ...everywhere, ...exceptions[name] });
});

describe('unsupported nodes are rejected by name', () => {
  const model = (layer: Layer) =>
    modelOf((g) => g.output('y', g.input('x', tensorSpec('float32', 2, 3)).through(named('layer', layer))));

  /** The graph builder itself makes none of these. */
  function withOperators(taken: ModelProto, ...names: readonly string[]): ModelProto {
    names.forEach((opType, i) => {
      taken.graph!.node[i]!.opType = opType;
    });
    return taken;
  }

  test('an unsupported operator', () => {
    expect(() =>
      checkOperators(
        withOperators(
          model((x) => x.node('Sin')),
          'Det',
        ),
      ),
    ).toThrow(
      'network: TensorRT 10.1 GA does not support it:\n  node layer/Sin_0: operator Det, which is not on the list',
    );
  });

  test('an operator with an unsupported type', () => {
    expect(() => checkOperators(model((x) => x.cast('int64').softmax()))).toThrow(
      'node layer/Softmax_1: operator Softmax of INT64; supported: FLOAT, FLOAT16, BFLOAT16',
    );
  });

  test('bytes inside the graph', () => {
    expect(() => checkOperators(model((x) => x.cast('uint8').reshape(6)))).toThrow(
      'node layer/Cast_0: layer/Cast_0 is UINT8 inside the graph',
    );
    expect(() => checkOperators(model((x) => x.cast('uint8')))).not.toThrow();
  });

  test('every node at fault is named', () => {
    const faulty = withOperators(
      model((x) => x.node('Sin').node('Cos')),
      'Det',
      'Unique',
    );
    expect(() => checkOperators(faulty)).toThrow(/layer\/Sin_0.*;\n.*layer\/Cos_1/s);
  });
});
