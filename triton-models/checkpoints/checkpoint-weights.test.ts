import { describe, expect, test } from '@jest/globals';
import type { ElementType } from '../../services/pipeline/safetensors/element-types.ts';
import { CheckpointWeights } from './checkpoint-weights.ts';

function file(path: string, tensors: Record<string, [ElementType, number[]]>) {
  const entries = Object.entries(tensors).map(
    ([name, [dataType, shape]]) => [name, { file: path, dataType, shape, offset: 64, length: 16 }] as const,
  );
  return { path, tensors: new Map(entries) };
}

test('one error lists missing, misshapen, wrongly typed and unused tensors', () => {
  const weights = new CheckpointWeights([
    {
      file: file('/x/unet.safetensors', {
        good: ['F16', [4]],
        wide: ['F32', [8, 4]],
        whole: ['I64', [4]],
        rest: ['F32', [2]],
      }),
    },
  ]);
  expect(weights.parameter('good', [4])).toEqual({ file: 'unet.safetensors', dataType: 'F16', offset: 64, length: 16 });
  weights.parameter('wide', [4, 4]);
  weights.parameter('whole', [4]);
  weights.parameter('gone', [2, 2]);
  expect(() => weights.verify('keyframe_unet')).toThrow(
    [
      "keyframe_unet: /x/unet.safetensors does not fit the network's architecture:",
      '  `wide` must have shape [4,4] (got [8,4]);',
      '  `whole` must be F32, F16 or BF16 (got I64);',
      '  `gone` must have shape [2,2] (missing);',
      '  `rest` must be absent (got [2])',
      '  --ignore-extra ignores tensors that the network does not use',
    ].join('\n'),
  );
});

describe('faults with one cause share a line', () => {
  const names = (beginning: string) => Array.from({ length: 20 }, (_, i) => `${beginning}${i}`);
  const holding = (...all: string[]) => {
    const weights = new CheckpointWeights([
      {
        file: file(
          '/x/unet.pt',
          Object.fromEntries(all.map((name) => [name, ['F32', [1]] as [ElementType, number[]]])),
        ),
      },
    ]);
    for (const name of names('layer.')) {
      weights.parameter(name, [1]);
    }
    return weights;
  };

  test('an optimizer saved with the network', () => {
    expect(() => holding(...names('layer.'), ...names('optimizer.'), 'layer.x', 'step').verify('unet')).toThrow(
      [
        "unet: /x/unet.pt does not fit the network's architecture:",
        '  `optimizer.…` must be absent (got 20 tensors);',
        '  `layer.x` must be absent (got [1]);',
        '  `step` must be absent (got [1])',
        '  --ignore-extra ignores tensors that the network does not use',
      ].join('\n'),
    );
  });

  test('ignored on request', () => {
    const weights = holding(...names('layer.'), ...names('optimizer.'), 'step');
    expect(weights.verify('unet', [], { ignoreExtra: true })).toBe(
      'left out, since the network has none such: optimizer.…, step (21 tensors)',
    );
    expect(holding(...names('layer.')).verify('unet', [], { ignoreExtra: true })).toBeUndefined();
  });

  test('another network', () => {
    expect(() => holding(...names('other.')).verify('unet', [], { ignoreExtra: true })).toThrow(
      '`layer.0` and the other 19 tensors are missing; the checkpoint has names such as other.0, other.1, other.2',
    );
    expect(() => holding().verify('unet')).toThrow(
      '`layer.0` and the other 19 tensors are missing; the checkpoint has no tensors',
    );
  });
});

test('parts of another network in the same file are accepted', () => {
  const weights = new CheckpointWeights([{ file: file('/x/movq.safetensors', { 'encoder.a': ['F32', [1]] }) }]);
  expect(() => weights.verify('movq_decoder', ['encoder.'])).not.toThrow();
});

test('several files form one checkpoint, each with its own prefix', () => {
  const weights = new CheckpointWeights([
    { file: file('/x/a.safetensors', { w: ['F32', [1]] }) },
    { file: file('/x/b.safetensors', { w: ['F32', [1]] }), prefix: 'projections.' },
  ]);
  expect(weights.parameter('w', [1]).file).toBe('a.safetensors');
  expect(weights.parameter('projections.w', [1]).file).toBe('b.safetensors');
  expect(() => weights.verify('text_encoder')).not.toThrow();
});

test('a null embedding may have leading axes of size 1', () => {
  const weights = new CheckpointWeights([{ file: file('/x/unet.pt', { null_embedding: ['F32', [1, 1, 4]] }) }]);
  weights.parameter('null_embedding', [4]);
  expect(() => weights.verify('keyframe_unet')).not.toThrow();
});

test('a list of faults ends after fifty', () => {
  const names = Array.from({ length: 100_000 }, (_, i) => `layer.${i}`);
  const tensors = Object.fromEntries(names.map((name) => [name, ['F32', [1]] as [ElementType, number[]]]));
  const weights = new CheckpointWeights([{ file: file('/x/unet.pt', tensors) }]);
  weights.parameter('layer.0', [1]);
  expect(() => weights.verify('unet')).toThrow(
    /\n {2}`layer\.50` must be absent \(got \[1\]\);\n {2}and 99949 more faults\n {2}--ignore-extra/,
  );
});
