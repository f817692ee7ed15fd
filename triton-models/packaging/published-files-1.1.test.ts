import { cp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { stopTestServer } from '../../gateway/testing/data.ts';
import { withGateway } from '../../gateway/testing/gateway.ts';
import { plainPicture } from '../../gateway/testing/pictured.ts';
import { type CreateVideoRequest, type InputReference, VideoFile } from '../../proto/gen/fusionframes/v1/video.ts';
import { temporaryFolder } from '../../services/kit/testing/temporary-folder.ts';
import { scopeOfAllTests } from '../../services/kit/testing/test-scope.ts';
import { toFloat16 } from '../../services/pipeline/half-floats.ts';
import type { Preset } from '../../services/pipeline/preset.ts';
import type { TensorEntry } from '../../services/pipeline/safetensors/layout.ts';
import { type Tensor, tensor } from '../../services/pipeline/tensor.ts';
import { startBackend } from '../../test/support/backend.ts';
import { configsOf, tinyPublishedPreset11, writePublishedFiles11 } from '../../test/support/published-files-1.1.ts';
import { serveOnCpu } from '../../test/support/serve-on-cpu.ts';
import { readSafetensors, readTensorBytes } from '../checkpoints/safetensors.ts';
import { writeSafetensors } from '../checkpoints/safetensors-writer.ts';
import { parametersOf, presetNetworks } from '../networks/preset-networks.ts';
import { pullModels } from '../pull/pull-models.ts';
import { HubServer } from '../pull/testing/hub-server.ts';
import { publishedRepositories11 } from '../pull/testing/published-repositories.ts';
import { ModelSession } from '../session/model-session.ts';
import { largestDifference } from '../verify/difference.ts';
import { ensureRepository, type Target } from './ensure-repository.ts';
import { presetModels } from './model-set.ts';

const folder = temporaryFolder(scopeOfAllTests());
afterAll(stopTestServer);
const uploaded = join(folder, 'uploaded');
const published = join(folder, 'published');
let preset: Preset;
beforeAll(async () => {
  preset = await tinyPublishedPreset11(folder);
  await writePublishedFiles11(preset, uploaded);
});

const build = (repository: string, target?: Target) =>
  ensureRepository(preset, {
    folder: join(folder, repository),
    checkpoint: published,
    link: true,
    ...(target && { target }),
  });

const models = [
  'text_encoder',
  'keyframe_unet',
  'first_frame_unet',
  'picture_decoder',
  'picture_encoder',
  'interpolation_unet',
  'movq_decoder',
];

test('Kandinsky Video 1.1 is pulled from the hub: its own files, and of Flan-UL2 what the encoder needs', async () => {
  const hub = await HubServer.start();
  try {
    for (const [name, files] of await publishedRepositories11(uploaded)) {
      hub.repositories.set(name, files);
    }
    const pulled = await pullModels(presetModels(preset), {
      from: 'hub',
      output: published,
      hub: { endpoint: hub.endpoint, token: '', timeoutMilliseconds: 5000, firstWaitMilliseconds: 1 },
      progress: { unchanged: () => {}, start: () => {}, advance: () => {}, done: () => {} },
    });
    expect(pulled.folder).toBe(published);
    // The hub's branches, without a revision that was asked for.
    expect(pulled.notes.map((note) => note.split(':')[0])).toEqual([
      'ai-forever/KandinskyVideo_1_1',
      'google/flan-ul2',
    ]);
  } finally {
    await hub.stop();
  }
  const found = (await readdir(published, { recursive: true })).filter((name) => name.includes('.'));
  expect(found.sort()).toEqual([
    'configs.json',
    'flan-ul2/config.json',
    'flan-ul2/pytorch_model-00001-of-00003.bin',
    'flan-ul2/pytorch_model-00002-of-00003.bin',
    'flan-ul2/pytorch_model.bin.index.json',
    'interpolation.pt',
    'movq.pt',
    'pulled.json',
    't2v.pt',
    't5_projections.pt',
    'tokenizer.json',
    'video_movq.pt',
  ]);
  const [sent, received] = await Promise.all([uploaded, published].map((each) => readFile(join(each, 't2v.pt'))));
  expect(received!.equals(sent!)).toBe(true);
});

const targets: [string, Target][] = [
  ['portable', 'onnxruntime'],
  ['for-engines', { tensorrt: { deviceMemory: 16e9 } }],
];

test.each(targets)('Kandinsky Video 1.1 is built %s from its files', async (repository, target) => {
  const built = await build(repository, target);
  expect(built.warnings).toEqual([]);
  expect(built.models.map(({ name, weights, isNew }) => [name, weights, isNew])).toEqual(
    models.map((name) => [name, 'trained', true]),
  );
});

test('the graphs for engines predict the same in half precision', async () => {
  const wave = (...shape: number[]) =>
    tensor(
      'float32',
      shape,
      Float32Array.from({ length: shape.reduce((a, b) => a * b) }, (_, i) => Math.sin(1 + 7.3 * i)),
    );
  const text = (items: number) => ({
    context: wave(items, 3, 16),
    context_mask: tensor('bool', [items, 3], new Uint8Array(3 * items).fill(1)),
    unconditional: tensor('bool', [items, 1], Uint8Array.of(0, 1, 1).subarray(0, items)),
    timestep: tensor('float32', [items, 1], new Float32Array(items).fill(500)),
  });
  const feeds: Record<string, Record<string, Tensor>> = {
    keyframe_unet: {
      ...text(3),
      latents: wave(3, 4, 4, 8, 8),
      first_frame: wave(3, 4, 8, 8),
      has_first_frame: tensor('bool', [3, 1], Uint8Array.of(1, 1, 0)),
      noise_augmentation: tensor('float32', [3, 1], new Float32Array(3).fill(20)),
      motion_score: tensor('float32', [3, 1], new Float32Array(3).fill(50)),
    },
    first_frame_unet: { ...text(2), latents: wave(2, 4, 16, 16) },
    interpolation_unet: {
      ...text(2),
      latents: wave(2, 3, 20, 8, 8),
      skip: tensor('int64', [2, 1], BigInt64Array.of(3n, 3n)),
    },
  };
  for (const [model, inputs] of Object.entries(feeds)) {
    const outputs: Tensor[] = [];
    for (const repository of ['portable', 'for-engines']) {
      const session = await ModelSession.open(join(folder, repository, model, '1', 'model.onnx'), { threads: 1 });
      outputs.push((await session.run(inputs)).prediction!);
      await session.close();
    }
    expect(largestDifference(outputs[1]!, outputs[0]!)).toBeLessThan(3e-2);
    expect(largestDifference(outputs[1]!, outputs[0]!)).toBeGreaterThan(0);
  }
});

test('what was pulled and built makes videos: of text, after a picture, and between keyframes; in half precision too', async () => {
  await cp(join(folder, 'for-engines'), join(folder, 'half'), { recursive: true });
  await serveOnCpu(join(folder, 'half'));
  const [red, blue] = await Promise.all(['#f00', '#00f'].map((colour) => plainPicture(colour, 64, 64)));
  const picture: InputReference = { source: { $case: 'file', value: red! } };
  const requests: [Partial<CreateVideoRequest>, number][] = [
    [{}, 13],
    [{ inputReference: picture }, 13],
    [{ keyframes: { files: [red!, blue!], videoId: '' } }, 5],
  ];
  const hashes = new Set<string>();
  for (const repository of ['portable', 'half']) {
    const backend = await startBackend(preset, join(folder, repository));
    try {
      const stageAddresses = await backend.startAll();
      await withGateway(
        async ({ create, watch }) => {
          for (const [given, frames] of requests) {
            const { id } = await create({ prompt: 'a red circle', seed: 7n }, '', given);
            const made = (await watch(id)).at(-1)!;
            expect([made.failure, made.frames, made.warnings]).toEqual([undefined, frames, []]);
            hashes.add(made.files.find(({ file }) => file === VideoFile.VIDEO_FILE_VIDEO)!.sha256);
          }
        },
        { presets: [preset], stageAddresses },
      );
    } finally {
      await backend.stop();
    }
  }
  expect(hashes.size).toBe(6);
});

test('a checkpoint that is mostly used is linked, not copied, and left alone when nothing changed', async () => {
  expect((await build('portable')).models.some(({ isNew }) => isNew)).toBe(false);
  expect((await readdir(join(folder, 'portable', 'keyframe_unet', '1'))).sort()).toContain('t2v.pt');
});

test('a LoRA of the keyframes network changes both of its models, rounded once for engines', async () => {
  const name = 'down_samples.0.self_attention_block.attention.to_query';
  const { shapes } = parametersOf(presetNetworks(preset).keyframes);
  const [out, inputs] = shapes.get(`${name}.weight`)!;
  const parts = new Map<string, TensorEntry>([
    [`unet.${name}.lora_A.weight`, { dataType: 'F32', shape: [1, inputs!] }],
    [`unet.${name}.lora_B.weight`, { dataType: 'F32', shape: [out!, 1] }],
  ]);
  const path = join(folder, 'ink.safetensors');
  await writeSafetensors(path, parts, (part) => {
    const count = Math.max(...parts.get(part)!.shape);
    return new Uint8Array(Float32Array.from({ length: count }, (_, i) => Math.sin(1 + i)).buffer);
  });
  const loras = [{ path, scale: 0.1, model: 'keyframe_unet' }];
  const weights: Buffer[] = [];
  for (const [repository, target] of targets) {
    const options = { folder: join(folder, repository), checkpoint: published, link: true, target, loras };
    const { models: built } = await ensureRepository(preset, options);
    expect(built.filter(({ isNew }) => isNew).map((model) => model.name)).toEqual([
      'keyframe_unet',
      'first_frame_unet',
    ]);
    const version = join(folder, repository, 'first_frame_unet', '1');
    const checkpoint = await readSafetensors(join(version, 'weights.safetensors'));
    weights.push(Buffer.from(await readTensorBytes(checkpoint, `${name}.weight`)));
  }
  const single = new Float32Array(new Uint8Array(weights[0]!).buffer);
  expect(weights[1]!.equals(Buffer.from(toFloat16(single).buffer))).toBe(true);
});

test('engines are planned for the items of each call', async () => {
  const shapes = async (model: string) => {
    const text = await readFile(join(folder, 'for-engines', model, '1', 'trtexec.args'), 'utf8');
    return /--optShapes=(\S+)/.exec(text)![1]!.split(',');
  };
  expect(await shapes('keyframe_unet')).toContain('latents:3x4x4x8x8');
  expect(await shapes('first_frame_unet')).toContain('latents:2x4x16x16');
  expect(await shapes('picture_encoder')).toEqual(['image:1x3x64x64']);
});

test('configs.json decides the arguments that the stages do not depend on', async () => {
  const path = join(published, 'configs.json');
  const { t2v, ...others } = configsOf(preset);
  await writeFile(path, JSON.stringify({ ...others, t2v: { configs: { ...t2v.configs, head_dim: 4 } } }));
  try {
    const { models: built } = await build('followed');
    const changed = built.filter(({ notes }) => notes.length > 0);
    expect(changed.map(({ name, notes }) => [name, notes])).toEqual(
      ['keyframe_unet', 'first_frame_unet'].map((name) => [
        name,
        ['configs.json: t2v: configs: built with `head_dim` 4 instead of 8'],
      ]),
    );
    const graphOf = (repository: string) => readFile(join(folder, repository, 'keyframe_unet', '1', 'model.onnx'));
    expect((await graphOf('followed')).equals(await graphOf('portable'))).toBe(false);
  } finally {
    await writeFile(path, JSON.stringify(configsOf(preset)));
  }
});

test('every fault of configs.json is named before anything is written', async () => {
  const path = join(published, 'configs.json');
  const { t2v, interpolation, image_movq, text_encoder } = configsOf(preset);
  const wrong = {
    t2v: { configs: { ...t2v.configs, colour: 1 } },
    interpolation: { configs: { ...interpolation.configs, out_channels: 8 } },
    text_encoder: { ...text_encoder, tokens_length: 77 },
    image_movq: { configs: { ...image_movq.configs, temporal: true } },
  };
  await writeFile(path, JSON.stringify(wrong));
  try {
    const refusal = await build('refused').then(String, String);
    for (const fault of [
      /keyframe_unet: [\s\S]*configs\.json: t2v: configs: .*`colour` is not a known field/,
      /configs\.json: interpolation: configs: `out_channels` must be 12 \(got 8\)/,
      /configs\.json: text_encoder: `tokens_length` must be 32 \(got 77\)/,
      /picture_decoder: [\s\S]*`temporal` is not a known field[\s\S]*picture_encoder: /,
      /configs\.json: video_movq: configs must be an object/,
    ]) {
      expect(refusal).toMatch(fault);
    }
    await expect(readdir(join(folder, 'refused'))).rejects.toThrow('ENOENT');
    await writeFile(path, `\uFEFF${JSON.stringify(wrong)}`);
    expect(await build('refused').then(String, String)).toBe(refusal);
    await writeFile(path, '{"t2v": ');
    await expect(build('refused')).rejects.toMatchObject({
      message: `${path} must be a JSON object with the networks' arguments`,
    });
    await rm(path);
    await expect(build('refused')).rejects.toMatchObject({
      message: expect.stringMatching(/^checkpoint not found: .*configs\.json, with the networks' arguments \(.*\)$/),
    });
  } finally {
    await writeFile(path, JSON.stringify(configsOf(preset)));
  }
});
