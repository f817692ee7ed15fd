import { createHash } from 'node:crypto';
import {
  copyFile,
  cp,
  mkdir,
  readdir,
  readFile,
  rename,
  rm,
  stat,
  truncate,
  utimes,
  writeFile,
} from 'node:fs/promises';
import { join } from 'node:path';
import { beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { temporaryFolder } from '../../services/kit/testing/temporary-folder.ts';
import { scopeOfAllTests } from '../../services/kit/testing/test-scope.ts';
import { contentHash, contentParameter } from '../../services/pipeline/model-manifest.ts';
import { loadPreset, type Preset } from '../../services/pipeline/preset.ts';
import type { TensorEntry } from '../../services/pipeline/safetensors/layout.ts';
import { smallNano, withDecoder } from '../../services/pipeline/testing.ts';
import { readSafetensors, readTensorBytes } from '../checkpoints/safetensors.ts';
import { writeSafetensors } from '../checkpoints/safetensors-writer.ts';
import { ModelSession } from '../session/model-session.ts';
import { ensureRepository, type Repository } from './ensure-repository.ts';
import { readParameter } from './model-config.ts';

const names = ['text_encoder', 'keyframe_unet', 'interpolation_unet', 'movq_decoder'];

const scope = scopeOfAllTests();
const folder = temporaryFolder(scope);
/** A small nano without trained weights: checkpoints are looked for in `folder`. */
let preset: Preset;
/** A repository without checkpoints, built before the first test. */
const builtFolder = join(temporaryFolder(scope), 'repository');
beforeAll(async () => {
  const { firstFrame: _, things: __, ...nano } = smallNano();
  const weights = { ...nano.weights, textEncoder: 't5', keyframes: 'key', interpolation: 'between', decoder: 'movq' };
  preset = { ...nano, folder, weights };
  await build();
  await rename(repositoryFolder(), builtFolder);
});
beforeEach(async () => {
  await rm(folder, { recursive: true });
  await mkdir(folder);
});

const repositoryFolder = () => join(folder, 'repository');
const weightsOf = (name: string) => join(repositoryFolder(), name, '1', 'weights.safetensors');
const build = (changed: Preset = preset) => ensureRepository(changed, { folder: repositoryFolder() });
const placeBuilt = () => cp(builtFolder, repositoryFolder(), { recursive: true, preserveTimestamps: true });
const rebuilt = ({ models }: Repository) => models.filter(({ isNew }) => isNew).map(({ name }) => name);

test('a preset without checkpoints gets random weights, says so, and is built once', async () => {
  const first = await build();
  expect(rebuilt(first)).toEqual(names);
  expect(first.folder).toBe(repositoryFolder());
  expect(first.warnings).toEqual([expect.stringContaining('RANDOM WEIGHTS')]);
  expect((await readdir(repositoryFolder())).sort()).toEqual(['.hashes.json', ...names].sort());

  const before = await stat(weightsOf('keyframe_unet'));
  const second = await build();
  expect(rebuilt(second)).toEqual([]);
  expect(second.models.map(({ name, weights, parameters }) => ({ name, weights, parameters }))).toEqual(
    first.models.map(({ name, weights, parameters }) => ({ name, weights, parameters })),
  );
  expect((await stat(weightsOf('keyframe_unet'))).mtimeMs).toBe(before.mtimeMs);
});

test('the encoder of given keyframes is built when it is asked for, and only where the weights have it', async () => {
  await placeBuilt();
  const options = { folder: repositoryFolder() };
  const whereFitting = { ...options, encoder: 'where-weights-fit' as const };
  expect(rebuilt(await ensureRepository(preset, whereFitting))).toEqual(['movq_encoder']);
  expect(rebuilt(await build())).toEqual([]);
  await copyFile(join(builtFolder, 'movq_decoder', '1', 'weights.safetensors'), join(folder, 'movq'));
  expect(rebuilt(await ensureRepository(preset, whereFitting))).toEqual(['movq_decoder']);
  await expect(ensureRepository(preset, { ...options, encoder: 'always' })).rejects.toThrow(/movq_encoder: /);
});

test('a damaged graph or weights are rebuilt', async () => {
  await placeBuilt();
  const graph = join(repositoryFolder(), 'text_encoder', '1', 'model.onnx');
  const bytes = await readFile(graph);
  bytes[bytes.length >> 1]! ^= 1;
  await writeFile(graph, bytes);
  await truncate(weightsOf('movq_decoder'), 1000);
  const weights = await readFile(weightsOf('keyframe_unet'));
  weights[weights.length >> 1]! ^= 1;
  await writeFile(weightsOf('keyframe_unet'), weights);
  expect(rebuilt(await build())).toEqual(['text_encoder', 'keyframe_unet', 'movq_decoder']);
  expect(rebuilt(await build())).toEqual([]);
});

test('random weights are the same every time', async () => {
  const first = await readFile(join(builtFolder, 'movq_decoder', '1', 'weights.safetensors'));
  await build();
  expect(first.equals(await readFile(weightsOf('movq_decoder')))).toBe(true);
});

test('config.pbtxt contains what Triton needs to serve the model', async () => {
  const { files } = JSON.parse(await readFile(join(builtFolder, 'keyframe_unet', 'manifest.json'), 'utf8'));
  expect(await readFile(join(builtFolder, 'keyframe_unet', 'config.pbtxt'), 'utf8')).toBe(`name: "keyframe_unet"
backend: "onnxruntime"
max_batch_size: 2
input [ { name: "latents", data_type: TYPE_FP32, dims: [ 15, 4, -1, -1 ] } ]
input [ { name: "timestep", data_type: TYPE_FP32, dims: [ 1 ] } ]
input [ { name: "positions", data_type: TYPE_FP32, dims: [ 15 ] } ]
input [ { name: "context", data_type: TYPE_FP32, dims: [ -1, 128 ] } ]
input [ { name: "context_mask", data_type: TYPE_BOOL, dims: [ -1 ] } ]
input [ { name: "unconditional", data_type: TYPE_BOOL, dims: [ 1 ] } ]
output [ { name: "prediction", data_type: TYPE_FP32, dims: [ 15, 4, -1, -1 ] } ]
dynamic_batching { priority_levels: 2, default_priority_level: 2 }
instance_group [ { count: 1, kind: KIND_CPU } ]
parameters { key: "content" value: { string_value: "${contentHash(files)}" } }
parameters { key: "weights" value: { string_value: "random" } }
`);
});

describe('a temporal decoder', () => {
  const buildWith = (decoder: Parameters<typeof withDecoder>[1]) => build(withDecoder(preset, decoder));
  const network = { temporal: true };

  test('takes windows of frames', async () => {
    await placeBuilt();
    await buildWith({ kind: 'video', network });
    expect(await readFile(join(repositoryFolder(), 'movq_decoder', 'config.pbtxt'), 'utf8')).toContain(`
max_batch_size: 1
input [ { name: "latents", data_type: TYPE_FP32, dims: [ -1, 4, -1, -1 ] } ]
output [ { name: "frames", data_type: TYPE_UINT8, dims: [ -1, -1, -1, 3 ] } ]
`);
  });

  test('is rebuilt when the preset switches to it', async () => {
    await placeBuilt();
    expect(rebuilt(await buildWith({ kind: 'video' }))).toEqual(['movq_decoder']);
  });

  test("is refused where the preset's decoder is one of images", () => {
    expect(() => withDecoder(preset, { network })).toThrow(/`decoder\.network.temporal`/);
  });
});

describe('with checkpoints', () => {
  beforeEach(async () => {
    await placeBuilt();
    await copyFile(weightsOf('movq_decoder'), join(folder, 'movq'));
  });

  test('a checkpoint is copied, and noticed when it appears or changes', async () => {
    expect(rebuilt(await build())).toEqual(['movq_decoder']);
    const bytes = await readFile(weightsOf('movq_decoder'));
    expect(bytes.equals(await readFile(join(folder, 'movq')))).toBe(true);
    expect(rebuilt(await build())).toEqual([]);
    // As a training loop rewrites it: the same file, cut to nothing and filled again.
    await writeFile(join(folder, 'movq'), bytes.subarray(0, 100));
    expect(bytes.equals(await readFile(weightsOf('movq_decoder')))).toBe(true);
    await writeFile(join(folder, 'movq'), bytes);
    expect(rebuilt(await build())).toEqual(['movq_decoder']);
  });

  test('only files written by pull are linked, or all with --link', async () => {
    const isLinked = async () => (await stat(join(folder, 'movq'))).ino === (await stat(weightsOf('movq_decoder'))).ino;
    const { size, mtimeMs } = await stat(join(folder, 'movq'));
    const sha256 = createHash('sha256')
      .update(await readFile(join(folder, 'movq')))
      .digest('hex');
    await writeFile(join(folder, 'pulled.json'), JSON.stringify({ movq: { hash: sha256, size, mtimeMs } }));
    await build();
    expect(await isLinked()).toBe(true);
    await utimes(join(folder, 'movq'), new Date(), new Date(1e12));
    await build();
    expect(await isLinked()).toBe(false);
    await utimes(join(folder, 'movq'), new Date(), new Date(2e12));
    await ensureRepository(preset, { folder: repositoryFolder(), link: true });
    expect(await isLinked()).toBe(true);
  });

  test('weights with NaN or infinity are rejected by name', async () => {
    const bytes = await readFile(join(folder, 'movq'));
    const { tensors } = await readSafetensors(join(folder, 'movq'));
    const name = 'decoder.conv_out.weight';
    bytes.writeFloatLE(Number.NaN, tensors.get(name)!.offset + 8);
    bytes.writeFloatLE(Number.NEGATIVE_INFINITY, tensors.get('decoder.conv_out.bias')!.offset);
    await writeFile(join(folder, 'movq'), bytes);
    const fault = new RegExp(
      `^movq_decoder: checkpoint: weights must be finite numbers:[^]*\\n  ${name}: element 2 of \\[3,16,3,3\\] is NaN`,
    );
    await expect(build()).rejects.toThrow(fault);
    await expect(build()).rejects.toThrow('decoder.conv_out.bias: element 0 of [3] is NaN or infinite');
    expect((await readdir(repositoryFolder())).sort()).toEqual(['.hashes.json', ...names].sort());
  });

  test("a fine-tuned copy: a wrapper's names, its average and an optimizer", async () => {
    const copies = [
      (name: string) => `unet.module.${name}`,
      (name: string) => `ema.${name}`,
      (name: string) => `optimizer.state.${name}`,
    ];
    await copyFile(weightsOf('movq_decoder'), join(folder, 'plain'));
    await writeCopies(join(folder, 'plain'), join(folder, 'movq'), copies.slice(0, 2));
    const { models } = await build();
    expect(models.at(-1)).toMatchObject({ isNew: true, weights: 'trained' });
    expect(models.at(-1)!.notes).toEqual([
      expect.stringMatching(
        /^movq: names that begin with `unet\.module\.` are taken without it; left out: `ema` \(\d+ /,
      ),
    ]);
    await writeCopies(join(folder, 'plain'), join(folder, 'movq'), copies.slice(1));
    await expect(build()).rejects.toThrow(
      /movq_decoder: [\s\S]*\n {2}`optimizer\.…` must be absent \(got \d+ tensors\)/,
    );
    const options = { folder: repositoryFolder(), ignoreExtra: true };
    expect((await ensureRepository(preset, options)).models.at(-1)!.notes).toEqual([
      expect.stringContaining('movq: names that begin with `ema.` are taken'),
      expect.stringMatching(/^left out, since the network has none such: optimizer\.… \(\d+ tensors\)$/),
    ]);
  });

  test('half precision on disk is float32 in the graph', async () => {
    const single = await decode();
    await convertToBfloat16(weightsOf('movq_decoder'), join(folder, 'movq'));
    expect((await build()).models.at(-1)).toMatchObject({ weights: 'trained', isNew: true });
    const half = await decode();
    const largest = single.reduce((most, value, i) => Math.max(most, Math.abs(value - half[i]!)), 0);
    expect(largest).toBeGreaterThan(0);
    expect(largest).toBeLessThanOrEqual(16);
  });

  test('a checkpoint that does not fit leaves what was there', async () => {
    await copyFile(weightsOf('text_encoder'), join(folder, 'key'));
    const before = await readFile(join(repositoryFolder(), 'keyframe_unet', '1', 'model.onnx'));
    await expect(build()).rejects.toThrow(
      /keyframe_unet: .*does not fit[\s\S]* and the other \d+ tensors are missing; the checkpoint has names such as shared\.weight/,
    );
    expect(before.equals(await readFile(join(repositoryFolder(), 'keyframe_unet', '1', 'model.onnx')))).toBe(true);
    expect((await readdir(repositoryFolder())).sort()).toEqual(['.hashes.json', ...names].sort());
  });

  test('a checkpoint of another variant is rejected, naming the variant', async () => {
    const { keyframes } = preset;
    await copyFile(join(builtFolder, 'keyframe_unet', '1', 'weights.safetensors'), join(folder, 'key'));
    const network = { ...keyframes.network, temporal_conditioning: 'Conv1dAttn1dLayers' as const };
    await expect(build({ ...preset, keyframes: { ...keyframes, network } })).rejects.toThrow(
      /^keyframe_unet: .*key is a checkpoint of Conv1dAttn1dBlocks or Conv1dAttn3dBlocks\nkeyframe_unet: .*key does not fit/,
    );
    const { decoder } = preset;
    const temporal = { ...decoder, kind: 'video', framesPerWindow: 8, network: { ...decoder.network, temporal: true } };
    await expect(build({ ...preset, decoder: temporal } as Preset)).rejects.toThrow(
      /movq_decoder: .*movq is a checkpoint of the image decoder\nmovq_decoder: .*movq does not fit/,
    );
  });

  test('a file that is not a checkpoint is rejected by name', async () => {
    await writeFile(join(folder, 'key'), 'not a checkpoint at all');
    await expect(build()).rejects.toThrow(
      /keyframe_unet: checkpoint: .*key is not a valid checkpoint: it is text: "not a checkpoint at all"/,
    );
  });

  test('a LoRA is merged into the one model that has its layers, and recorded', async () => {
    const weight = 'decoder.conv_in.weight';
    const { tensors } = await readSafetensors(join(folder, 'movq'));
    const [out, inputs] = tensors.get(weight)!.shape as [number, number];
    const elsewhere = Array.from({ length: 12 }, (_, i) => `decoder.elsewhere.${i}.weight`);
    const parts = new Map<string, TensorEntry>([
      ['decoder.conv_in.lora_down.weight', { dataType: 'F32', shape: [2, inputs, 3, 3] }],
      ['decoder.conv_in.lora_up.weight', { dataType: 'F32', shape: [out, 2, 1, 1] }],
      ...elsewhere.map((name): [string, TensorEntry] => [name, { dataType: 'F32', shape: [2] }]),
    ]);
    const lora = join(folder, 'ink.safetensors');
    await writeSafetensors(lora, parts, (name) => {
      const { shape } = parts.get(name)!;
      return new Uint8Array(new Float32Array(shape.reduce((a, b) => a * b)).fill(0.5).buffer);
    });
    const loras = [{ path: lora, scale: 0.25 }];
    const beside = (place = repositoryFolder()) => ensureRepository(preset, { folder: place, loras, version: 2 });
    await expect(beside(join(folder, 'nothing'))).rejects.toThrow(
      /movq_decoder: .* must have its version 1, beside which version 2 is added/,
    );
    await build();
    const plain = await decode();
    expect((await beside()).models.map(({ name, isNew }) => [name, isNew])).toEqual([['movq_decoder', true]]);
    expect([...rebuilt(await beside()), ...rebuilt(await build())]).toEqual([]);
    const second = await decode(2);
    expect(await decode()).toEqual(plain);
    await contentsDiffer();

    const built = await ensureRepository(preset, { folder: repositoryFolder(), loras });
    expect(rebuilt(built)).toEqual(['movq_decoder']);
    expect(built.models.at(-1)!.notes).toEqual([
      'ink.safetensors changed 1 of its weights, at scale 0.25',
      'ink.safetensors: it has no alpha, so that its rank is taken for it',
      `ink.safetensors: left out, since no network has them: ${elsewhere.join(', ')}`,
      'version 2 was removed: build it again',
    ]);
    const manifest = JSON.parse(await readFile(join(repositoryFolder(), 'movq_decoder', 'manifest.json'), 'utf8'));
    const sha256 = createHash('sha256')
      .update(await readFile(lora))
      .digest('hex');
    expect(manifest.loras).toEqual([{ file: 'ink.safetensors', sha256, scale: 0.25, weights: 1 }]);
    expect(rebuilt(await ensureRepository(preset, { folder: repositoryFolder(), loras }))).toEqual([]);
    const only = await ensureRepository(preset, { folder: join(folder, 'only'), loras, onlyChanged: true });
    expect(only.models.map((model) => model.name)).toEqual(['movq_decoder']);
    const merged = await decode();
    expect(merged).toEqual(second);
    expect(merged).not.toEqual(plain);

    const bytes = await readFile(join(folder, 'movq'));
    const { offset, length } = tensors.get(weight)!;
    for (let at = offset; at < offset + length; at += 4) {
      bytes.writeFloatLE(bytes.readFloatLE(at) + 0.25 * 2 * 0.5 * 0.5, at);
    }
    await writeFile(join(folder, 'movq'), bytes);
    expect(rebuilt(await build())).toEqual(['movq_decoder']);
    expect(await decode()).toEqual(merged);
  });

  /** A stage tells two versions on one server apart, and gets the last one without asking. */
  async function contentsDiffer(): Promise<void> {
    const config = await readFile(join(repositoryFolder(), 'movq_decoder', 'config.pbtxt'), 'utf8');
    expect(config).toContain('\nversion_policy { all { } }\n');
    const [last, one, two] = [undefined, '1', '2'].map((version) => readParameter(config, contentParameter(version)));
    expect([last, one === two]).toEqual([two, false]);
  }

  async function decode(version = 1): Promise<Uint8Array> {
    const model = join(repositoryFolder(), 'movq_decoder', String(version), 'model.onnx');
    const session = await ModelSession.open(model, { threads: 1 });
    try {
      const data = Float32Array.from({ length: 4 * 8 * 8 }, (_, i) => Math.sin(i));
      const { frames } = await session.run({ latents: { dataType: 'float32', shape: [1, 4, 8, 8], data } });
      return frames!.data as Uint8Array;
    } finally {
      await session.close();
    }
  }
});

test('a large preset without checkpoints is rejected, naming the missing file', async () => {
  await expect(build(loadPreset('kandinsky-video-1.0'))).rejects.toThrow(
    /text_encoder: checkpoint not found: .*flan-ul2, .*kandinsky_video\.pt/,
  );
});

test('a folder that cannot be created is rejected', async () => {
  await writeFile(repositoryFolder(), 'a file');
  await expect(build()).rejects.toThrow(/model repository: .* can't be written/);
});

test('an interrupt ends the build', async () => {
  const options = { folder: repositoryFolder(), signal: AbortSignal.abort() };
  await expect(ensureRepository(preset, options)).rejects.toThrow(/abort/i);
});

/** Every tensor of a file under several names. */
async function writeCopies(
  source: string,
  target: string,
  names: readonly ((name: string) => string)[],
): Promise<void> {
  const checkpoint = await readSafetensors(source);
  const original = new Map(
    names.flatMap((rename) => [...checkpoint.tensors.keys()].map((name) => [rename(name), name] as const)),
  );
  const bytes = new Map<string, Uint8Array>();
  for (const name of checkpoint.tensors.keys()) {
    bytes.set(name, await readTensorBytes(checkpoint, name));
  }
  const tensors = new Map([...original].map(([name, of]) => [name, checkpoint.tensors.get(of)!]));
  await rm(target, { force: true });
  await writeSafetensors(target, tensors, (name) => bytes.get(original.get(name)!)!);
}

/** Cuts float32 values to their upper halves. */
async function convertToBfloat16(source: string, target: string): Promise<void> {
  const bytes = await readFile(source);
  const { tensors } = await readSafetensors(source);
  const shapes = new Map([...tensors].map(([name, { shape }]) => [name, { dataType: 'BF16', shape }] as const));
  await rm(target);
  await writeSafetensors(target, shapes, (name) => {
    const { offset, length } = tensors.get(name)!;
    const halves = Buffer.alloc(length / 2);
    for (let i = 0; i < length / 4; i++) {
      bytes.copy(halves, 2 * i, offset + 4 * i + 2, offset + 4 * i + 4);
    }
    return halves;
  });
}
