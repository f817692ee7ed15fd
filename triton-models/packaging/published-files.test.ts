import { copyFile, cp, readdir, readFile, rm, stat, symlink, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { temporaryFolder } from '../../services/kit/testing/temporary-folder.ts';
import { scopeOfAllTests } from '../../services/kit/testing/test-scope.ts';
import type { Preset } from '../../services/pipeline/preset.ts';
import { tinyPublishedPreset, writePublishedFiles } from '../../test/support/published-files.ts';
import { readSafetensors } from '../checkpoints/safetensors.ts';
import { ModelSession } from '../session/model-session.ts';
import { ensureRepository } from './ensure-repository.ts';

const folder = temporaryFolder(scopeOfAllTests());
let preset: Preset;
const at = (...names: string[]) => join(folder, ...names);
beforeAll(async () => {
  preset = await tinyPublishedPreset(folder);
  await writePublishedFiles(preset, { plain: at('plain'), published: at('published'), encoder: 'safetensors' });
  await writePublishedFiles(preset, { plain: at('plain'), published: at('published-pt'), encoder: 'pytorch' });
});

const build = (checkpoint: string, repository: string) =>
  ensureRepository(preset, { folder: at(repository), checkpoint: at(checkpoint), link: true });

test.each(['published', 'published-pt'])(
  '%s: built in place, with the values of the plain files',
  async (published) => {
    const repository = `repository-of-${published}`;
    const { models, warnings } = await build(published, repository);
    expect(models.map(({ weights, isNew }) => [weights, isNew])).toEqual(Array(4).fill(['trained', true]));
    expect(warnings).toEqual([]);
    expect((await readdir(at(repository, 'keyframe_unet', '1'))).sort()).toEqual([
      'kandinsky_video.pt',
      'model.onnx',
      'weights.safetensors',
    ]);
    const linked = await stat(at(repository, 'keyframe_unet', '1', 'kandinsky_video.pt'));
    expect(linked.ino).toBe((await stat(at(published, 'kandinsky_video.pt'))).ino);
    const written = await readSafetensors(at(repository, 'keyframe_unet', '1', 'weights.safetensors'));
    expect([...written.tensors.keys()]).toEqual(['feature_pooling.attention.to_query.weight']);

    expect((await build(published, repository)).models.map(({ isNew }) => isNew)).toEqual(Array(4).fill(false));
    plainOutputs ??= plainRepository().then(outputsOf);
    expect(await outputsOf(repository)).toEqual(await plainOutputs);
  },
);

let plainOutputs: Promise<number[][]> | undefined;
async function plainRepository(): Promise<string> {
  const names = { textEncoder: 'text_encoder', keyframes: 'keyframe_unet', interpolation: 'interpolation_unet' };
  const files = { ...names, decoder: 'movq_decoder' };
  const weights = Object.fromEntries(
    Object.entries(files).map(([key, name]) => [key, at('plain', `${name}.safetensors`)]),
  ) as Preset['weights'];
  await ensureRepository({ ...preset, weights }, { folder: at('repository-of-plain') });
  return 'repository-of-plain';
}

/** What each model of a repository makes of fixed inputs. */
async function outputsOf(repository: string): Promise<number[][]> {
  const wave = (length: number) => Float32Array.from({ length }, (_, i) => Math.sin(i));
  const frames = 15;
  return [
    await run(repository, 'text_encoder', {
      input_ids: { dataType: 'int64', shape: [1, 3], data: BigInt64Array.of(5n, 9n, 1n) },
      attention_mask: { dataType: 'bool', shape: [1, 3], data: Uint8Array.of(1, 1, 1) },
    }),
    await run(repository, 'keyframe_unet', {
      latents: { dataType: 'float32', shape: [1, frames, 4, 16, 16], data: wave(frames * 1024) },
      timestep: { dataType: 'float32', shape: [1, 1], data: Float32Array.of(500) },
      positions: { dataType: 'float32', shape: [1, frames], data: wave(frames) },
      context: { dataType: 'float32', shape: [1, 2, 128], data: wave(256) },
      context_mask: { dataType: 'bool', shape: [1, 2], data: Uint8Array.of(1, 1) },
      unconditional: { dataType: 'bool', shape: [1, 1], data: Uint8Array.of(0) },
    }),
    await run(repository, 'interpolation_unet', {
      latents: { dataType: 'float32', shape: [1, 2, 20, 8, 8], data: wave(2 * 20 * 64) },
      timestep: { dataType: 'float32', shape: [1, 1], data: Float32Array.of(500) },
      skip: { dataType: 'int64', shape: [1, 1], data: BigInt64Array.of(3n) },
      perturbation: { dataType: 'float32', shape: [1, 1], data: Float32Array.of(25) },
    }),
    await run(repository, 'movq_decoder', {
      latents: { dataType: 'float32', shape: [1, 4, 8, 8], data: wave(256) },
    }),
  ];
}

async function run(repository: string, model: string, feeds: Parameters<ModelSession['run']>[0]): Promise<number[]> {
  const session = await ModelSession.open(at(repository, model, '1', 'model.onnx'), { threads: 1, isOptimized: false });
  try {
    const [output] = Object.values(await session.run(feeds));
    return [...(output!.data as Float32Array)];
  } finally {
    await session.close();
  }
}

describe('faults are reported before anything is written', () => {
  beforeEach(async () => {
    await rm(at('broken'), { recursive: true, force: true });
    await rm(at('repository'), { recursive: true, force: true });
    await cp(at('published'), at('broken'), { recursive: true });
  });

  const refused = async (...messages: (string | RegExp)[]) => {
    for (const message of messages) {
      await expect(build('broken', 'repository')).rejects.toThrow(message);
    }
    await expect(readdir(at('repository'))).rejects.toThrow('ENOENT');
  };

  test('networks in place of one another: faults of every network, all at once', async () => {
    await copyFile(at('published', 'kandinsky_video_interpolation.pt'), at('broken', 'kandinsky_video.pt'));
    await copyFile(at('published', 'kandinsky_video.pt'), at('broken', 'kandinsky_video_interpolation.pt'));
    await refused(
      /text_encoder: .*flan-ul2, .*kandinsky_video\.pt does not fit .*\n {2}`projections\.t5\.0\.weight` must have shape \[128,128\] \(missing\)/,
      /keyframe_unet: [\s\S]*\n {2}`in_layer\.weight` must have shape \[16,4,3,3\] \(got \[16,20,3,3\]\);[\s\S]*\n {2}and \d+ more faults/,
      /interpolation_unet: [\s\S]*\n {2}`in_layer\.weight` must have shape \[16,20,3,3\] \(got \[16,4,3,3\]\)/,
    );
  });

  test('missing files', async () => {
    await rm(at('broken', 'movq.pt'));
    await rm(at('broken', 'kandinsky_video.pt'));
    await refused(
      /text_encoder: checkpoint not found: .*kandinsky_video\.pt\nkeyframe_unet: checkpoint not found: .*kandinsky_video\.pt\nmovq_decoder: checkpoint not found: .*movq\.pt/,
    );
  });

  test('missing shards', async () => {
    await rm(at('broken', 'flan-ul2', 'model-00002-of-00003.safetensors'));
    await refused(/1 of the 2 files that .* names are missing: model-00002-of-00003\.safetensors/);
  });

  test('an incomplete download', async () => {
    await truncate(at('broken', 'movq.pt'), 10_000);
    await refused(/movq_decoder: checkpoint: .*movq\.pt is not a valid PyTorch file: it has no end record: cut short/);
  });

  test('an encoder that differs in something that shapes do not show', async () => {
    await writeFile(at('broken', 'flan-ul2', 'config.json'), '{"num_heads": 8, "feed_forward_proj": "gated-gelu"}');
    await refused('config.json: `num_heads` must be 4 (got 8)', '(got "gated-gelu")');
  });
});

test('a checkpoint behind symbolic links is linked to its target', async () => {
  await rm(at('links'), { recursive: true, force: true });
  await symlink(at('published'), at('links'));
  await build('links', 'repository-of-links');
  const file = at('repository-of-links', 'movq_decoder', '1', 'movq.pt');
  expect((await stat(file)).ino).toBe((await stat(at('published', 'movq.pt'))).ino);
});

test('the tokenizer is included', async () => {
  await build('published', 'repository-with-tokenizer');
  const tokenizer = await readFile(at('weights', 'tiny', 'tokenizer.json'), 'utf8');
  expect(tokenizer).toBe(await readFile(at('published', 'tokenizer.json'), 'utf8'));
  // For a text encoder on another machine that has only the repository.
  expect(await readFile(at('repository-with-tokenizer', 'text_encoder', 'tokenizer.json'), 'utf8')).toBe(tokenizer);
});

test('a tokenizer that has changed in the repository is replaced', async () => {
  const repository = 'repository-with-damaged-tokenizer';
  await build('published', repository);
  const path = at(repository, 'text_encoder', 'tokenizer.json');
  const tokenizer = await readFile(path, 'utf8');
  await writeFile(path, tokenizer.replace('{', '{ '));
  const { models } = await build('published', repository);
  expect(models.filter(({ isNew }) => isNew).map(({ name }) => name)).toEqual(['text_encoder']);
  expect(await readFile(path, 'utf8')).toBe(tokenizer);
});

test('a small preset does not get random weights if a checkpoint was given', async () => {
  await expect(build('nowhere', 'repository-of-nothing')).rejects.toThrow(/keyframe_unet: checkpoint not found/);
});
