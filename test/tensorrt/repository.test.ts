import { cp, readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { beforeAll, describe, expect, test } from '@jest/globals';
import { type GraphProto, ModelProto } from '../../proto/gen/onnx/onnx.ts';
import { configFromText } from '../../services/inference/repository/read-config.ts';
import { startInferenceServer } from '../../services/inference/server.ts';
import { createLogger } from '../../services/kit/log.ts';
import { temporaryFolder } from '../../services/kit/testing/temporary-folder.ts';
import { scopeOfAllTests } from '../../services/kit/testing/test-scope.ts';
import { loadPreset, type Preset } from '../../services/pipeline/preset.ts';
import { type Tensor, tensor } from '../../services/pipeline/tensor.ts';
import { TritonClient } from '../../services/triton/triton-client.ts';
import { readSafetensors } from '../../triton-models/checkpoints/safetensors.ts';
import { writeSafetensors } from '../../triton-models/checkpoints/safetensors-writer.ts';
import { ensureRepository } from '../../triton-models/packaging/ensure-repository.ts';
import { ModelSession } from '../../triton-models/session/model-session.ts';
import { elementTypesOf, mainInput, typeName } from '../../triton-models/tensorrt/element-types.ts';
import { largestDifference } from '../../triton-models/verify/difference.ts';
import { verifyServed } from '../../triton-models/verify/verify-served.ts';
import { callCli, eventually, startCli } from '../support/cli.ts';
import { freePorts } from '../support/free-ports.ts';
import { serveOnCpu } from '../support/serve-on-cpu.ts';
import { tinyPreset } from '../support/tiny-preset.ts';

const folder = temporaryFolder(scopeOfAllTests());
/** Random weights: float32 in the file, most of them float16 in the engine. */
let preset: Preset;
const at = (...names: string[]) => join(folder, ...names);
const target = { tensorrt: { deviceMemory: 16e9 } };

beforeAll(async () => {
  preset = { ...loadPreset(tinyPreset), folder };
  await ensureRepository(preset, { folder: at('portable') });
  await ensureRepository(preset, { folder: at('tensorrt'), target });
});

test('both targets give the same frames and predictions, within half precision', async () => {
  const floats = (shape: number[], scale = 1) =>
    tensor(
      'float32',
      shape,
      Float32Array.from({ length: shape.reduce((a, b) => a * b) }, (_, i) => scale * Math.sin(1 + 7.3 * i)),
    );
  const feeds: Record<string, Record<string, Tensor>> = {
    keyframe_unet: {
      latents: floats([1, 5, 4, 8, 8]),
      timestep: tensor('float32', [1, 1], Float32Array.of(980)),
      positions: tensor(
        'float32',
        [1, 5],
        Float32Array.from({ length: 5 }, (_, i) => 12 * i),
      ),
      context: floats([1, 9, 16]),
      context_mask: tensor('bool', [1, 9], Uint8Array.of(1, 1, 1, 1, 0, 0, 0, 0, 0)),
      unconditional: tensor('bool', [1, 1], Uint8Array.of(0)),
    },
    interpolation_unet: {
      latents: floats([1, 4, 20, 8, 8]),
      timestep: tensor('float32', [1, 1], Float32Array.of(420)),
      skip: tensor('int64', [1, 1], BigInt64Array.of(3n)),
    },
  };
  for (const [model, inputs] of Object.entries(feeds)) {
    const [single, half] = await Promise.all(['portable', 'tensorrt'].map((from) => run(from, model, inputs)));
    expect(half!.prediction!.shape).toEqual(single!.prediction!.shape);
    expect(largestDifference(half!.prediction!, single!.prediction!)).toBeLessThan(3e-2);
  }
  const latents = { latents: floats([2, 4, 8, 8]) };
  const [single, half] = await Promise.all(['portable', 'tensorrt'].map((from) => run(from, 'movq_decoder', latents)));
  const expected = single!.frames!.data as Uint8Array;
  const largest = (half!.frames!.data as Uint8Array).reduce(
    (most, value, i) => Math.max(most, Math.abs(value - expected[i]!)),
    0,
  );
  expect(half!.frames!.dataType).toBe('uint8');
  expect(largest).toBeLessThanOrEqual(3);
});

async function run(repository: string, model: string, inputs: Record<string, Tensor>): Promise<Record<string, Tensor>> {
  const session = await ModelSession.open(at(repository, model, '1', 'model.onnx'));
  try {
    return await session.run(inputs);
  } finally {
    await session.close();
  }
}

test('config.pbtxt contains what Triton needs for an engine', async () => {
  const config = configFromText(await readFile(at('tensorrt', 'keyframe_unet', 'config.pbtxt'), 'utf8'));
  expect(config).toMatchObject({
    name: 'keyframe_unet',
    backend: 'tensorrt',
    maxBatchSize: 8,
    versionPolicy: { policyChoice: { $case: 'latest', value: { numVersions: 1 } } },
    instanceGroup: [{ count: 1, kind: 1, profile: ['0'] }],
    schedulingChoice: {
      $case: 'dynamicBatching',
      value: {
        priorityLevels: 2n,
        defaultPriorityLevel: 2n,
        defaultQueuePolicy: { defaultTimeoutMicroseconds: 120_000_000n, allowTimeoutOverride: true, maxQueueSize: 64 },
      },
    },
    modelWarmup: [{ name: '64x64', batchSize: 2 }],
  });
  const warmup = config.modelWarmup[0]!.inputs;
  expect(Object.keys(warmup).sort()).toEqual(config.input.map(({ name }) => name).sort());
  expect(warmup.latents).toMatchObject({
    dims: [5n, 4n, 8n, 8n],
    inputDataType: { $case: 'inputDataFile', value: '64x64.latents' },
  });
});

test('weights are stored in the precision that the graph reads, so no kernel or matrix is cast', async () => {
  const versionFolder = at('tensorrt', 'interpolation_unet', '1');
  expect((await readdir(versionFolder)).sort()).toEqual(['model.onnx', 'trtexec.args', 'weights.safetensors']);
  const graph = ModelProto.decode(await readFile(join(versionFolder, 'model.onnx'))).graph!;
  const parameters = new Set(
    graph.initializer.filter(({ externalData }) => externalData.length > 0).map(({ name }) => name),
  );
  const products = graph.node.filter(({ opType }) => ['Conv', 'ConvTranspose', 'Gemm'].includes(opType));
  expect(products.length).toBeGreaterThan(100);
  expect(products.filter(({ input }) => !input.slice(1).every((name) => parameters.has(name)))).toEqual([]);
});

test('a half-precision checkpoint is used in place; only what must be float32 is rewritten', async () => {
  const { tensors } = await readSafetensors(at('tensorrt', 'keyframe_unet', '1', 'weights.safetensors'));
  const halves = new Map([...tensors].map(([name, { shape }]) => [name, { dataType: 'F16', shape }] as const));
  const bytes = (name: string) => new Uint8Array(2 * halves.get(name)!.shape.reduce((a, b) => a * b, 1));
  await writeSafetensors(at('half.safetensors'), halves, bytes);
  await ensureRepository(
    { ...preset, weights: { ...preset.weights, keyframes: 'half.safetensors' } },
    { folder: at('linked'), target },
  );
  const names = (await readdir(at('linked', 'keyframe_unet', '1'))).sort();
  expect(names).toEqual(['converted.safetensors', 'model.onnx', 'trtexec.args', 'weights.safetensors']);
  const written = (await readSafetensors(at('linked', 'keyframe_unet', '1', 'converted.safetensors'))).tensors;
  expect(new Set([...written.values()].map(({ dataType }) => dataType))).toEqual(new Set(['F32']));
  expect(written.has('to_time_embed.1.weight')).toBe(true);
  expect(written.size).toBeLessThan(tensors.size / 5);
});

async function graphOf(...names: string[]): Promise<GraphProto> {
  return ModelProto.decode(await readFile(at(...names, '1', 'model.onnx'))).graph!;
}

const typesOfProducts = (graph: GraphProto) => {
  const types = elementTypesOf(graph);
  const products = graph.node.filter(({ opType }) => ['Conv', 'Gemm', 'MatMul'].includes(opType));
  return new Set(products.map((node) => typeName(types.get(mainInput(node))!)));
};

test('a precision for each model: the decoder is float32 unless another is chosen', async () => {
  const argumentsOf = (repository: string, model: string) =>
    readFile(at(repository, model, '1', 'trtexec.args'), 'utf8');
  expect(await argumentsOf('tensorrt', 'movq_decoder')).toMatch(/^# precision float32$/m);
  expect(typesOfProducts(await graphOf('tensorrt', 'movq_decoder'))).toEqual(new Set(['FLOAT']));
  const precisions = { movq_decoder: 'float16', keyframe_unet: 'bfloat16', text_encoder: 'float32' } as const;
  await ensureRepository(preset, {
    folder: at('chosen'),
    target: { tensorrt: { deviceMemory: 16e9, precisions } },
  });
  for (const [model, precision] of Object.entries({ ...precisions, interpolation_unet: 'float16' })) {
    expect(await argumentsOf('chosen', model)).toMatch(new RegExp(`^# precision ${precision}$`, 'm'));
  }
  expect(typesOfProducts(await graphOf('chosen', 'movq_decoder'))).toContain('FLOAT16');
  expect(typesOfProducts(await graphOf('chosen', 'keyframe_unet'))).toEqual(new Set(['BFLOAT16', 'FLOAT']));
  expect(typesOfProducts(await graphOf('chosen', 'text_encoder'))).toEqual(new Set(['FLOAT']));
  const { tensors } = await readSafetensors(at('chosen', 'keyframe_unet', '1', 'weights.safetensors'));
  expect(tensors.get('out_layer.2.weight')?.dataType).toBe('F32');
});

test("a tensor beyond float16's range stays float32 with the operators that read it; the rest does not", async () => {
  const file = at('large.safetensors');
  const source = at('portable', 'keyframe_unet', '1', 'weights.safetensors');
  const { tensors } = await readSafetensors(source);
  const [name, { offset }] = [...tensors].find(([each]) => each.endsWith('.projection.weight'))!;
  const bytes = await readFile(source);
  bytes.writeFloatLE(70_000, offset);
  await writeFile(file, bytes);
  const { models } = await ensureRepository(
    { ...preset, weights: { ...preset.weights, keyframes: 'large.safetensors' } },
    { folder: at('large'), target },
  );
  expect(models[1]!.notes).toEqual([`float32, because some of their numbers are beyond the range of float16: ${name}`]);
  const graph = await graphOf('large', 'keyframe_unet');
  const types = elementTypesOf(graph);
  const readers = graph.node.filter(({ input }) => input.includes(name));
  expect(readers.map((node) => typeName(types.get(mainInput(node))!))).toEqual(['FLOAT']);
  expect(typesOfProducts(graph)).toContain('FLOAT16');
});

describe('served', () => {
  const scope = scopeOfAllTests();
  const signal = new AbortController().signal;
  let triton: TritonClient;
  let address: string;

  beforeAll(async () => {
    await cp(at('tensorrt'), at('served'), { recursive: true });
    await serveOnCpu(at('served'));
    const server = await scope.open(() =>
      startInferenceServer({ address: '127.0.0.1:0', repository: at('served'), log: createLogger('test', 'silent') }),
    );
    ({ address } = server);
    triton = scope.add(new TritonClient({ address, sharedMemory: 'off' }));
  });

  test('outputs are near the float32 reference that the build recorded, for every profile', async () => {
    const { outputs, unrecorded } = await verifyServed(at('tensorrt'), triton, { waitSeconds: 10, signal });
    expect(unrecorded).toEqual([]);
    expect(outputs.filter(({ passed }) => !passed)).toEqual([]);
    expect(outputs.map(({ model, profile, output, precision }) => [model, profile, output, precision])).toEqual([
      ['interpolation_unet', '64x64-16-groups', 'prediction', 'float16'],
      ['interpolation_unet', '64x64-4-groups', 'prediction', 'float16'],
      ['keyframe_unet', '64x64', 'prediction', 'float16'],
      ['movq_decoder', '64x64', 'frames', 'float32'],
      ['movq_decoder', '64x64', 'is_finite', 'float32'],
      ['text_encoder', '64x64', 'context', 'float16'],
    ]);
    // Half precision, against the numbers before it.
    expect(outputs[2]!.largest).toBeGreaterThan(1e-5);
    expect(outputs[2]!.rootMeanSquare).toBeLessThan(outputs[2]!.largest);
  });

  test('a limit that is exceeded, another build, and a repository without recorded outputs', async () => {
    const options = { waitSeconds: 10, signal };
    const strict = await verifyServed(at('tensorrt', 'keyframe_unet'), triton, { ...options, limit: 1e-9 });
    expect(strict.outputs.map(({ passed }) => passed)).toEqual([false]);
    await cp(at('tensorrt', 'keyframe_unet', 'references'), at('portable', 'keyframe_unet', 'references'), {
      recursive: true,
    });
    await expect(verifyServed(at('portable', 'keyframe_unet'), triton, options)).rejects.toThrow(
      /serves another build of keyframe_unet: content [0-9a-f]{64} expected, [0-9a-f]{64} found$/,
    );
    await expect(verifyServed(at('portable', 'movq_decoder'), triton, options)).rejects.toThrow(
      'has no recorded outputs',
    );
  });

  test('a gate is ready once the numbers agree, until it is stopped; never if they differ', async () => {
    const [port] = await freePorts(1);
    const probes = { FUSIONFRAMES_METRICS_ADDRESS: `127.0.0.1:${port}`, OTEL_SDK_DISABLED: 'true' };
    const gate = (...options: string[]) => [
      ...['models', 'verify', at('tensorrt', 'keyframe_unet'), '--address', address, '--gate'],
      ...options,
    ];
    const refused = await callCli(gate('--tolerance', '1e-9'), probes);
    expect(refused).toMatchObject({ code: 1, stdout: expect.stringMatching(/DIFFERS\n$/) });
    const { child, finished } = startCli(gate(), probes);
    const status = () =>
      fetch(`http://127.0.0.1:${port}/readyz`).then(
        ({ status }) => status,
        () => undefined,
      );
    await eventually(async () => (await status()) === 200);
    child.kill('SIGTERM');
    expect(await finished).toMatchObject({ code: 0, stdout: expect.stringMatching(/ok\nready until stopped\n$/) });
  });

  test('a server that does not have the model in time', async () => {
    const away = scope.add(new TritonClient({ address: '127.0.0.1:9', sharedMemory: 'off' }));
    await expect(verifyServed(at('tensorrt'), away, { waitSeconds: 0, signal })).rejects.toThrow(
      /^127\.0\.0\.1:9 does not serve interpolation_unet after 0 s: .*refused/,
    );
  });
});

test('it is built once, and again for a GPU that allows other batches', async () => {
  const again = (deviceMemory: number) =>
    ensureRepository(preset, { folder: at('tensorrt'), target: { tensorrt: { deviceMemory } } });
  expect((await again(16e9)).models.map(({ isNew }) => isNew)).toEqual([false, false, false, false]);
  expect((await again(8e9)).models.map(({ isNew }) => isNew)).toEqual([false, false, false, false]);
  expect((await again(15e6)).models.map(({ isNew }) => isNew)).toEqual([true, true, true, true]);
});
