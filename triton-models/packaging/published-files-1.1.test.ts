import { readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { beforeAll, expect, test } from '@jest/globals';
import { temporaryFolder } from '../../services/kit/testing/temporary-folder.ts';
import { scopeOfAllTests } from '../../services/kit/testing/test-scope.ts';
import type { Preset } from '../../services/pipeline/preset.ts';
import { configsOf, tinyPublishedPreset11, writePublishedFiles11 } from '../../test/support/published-files-1.1.ts';
import { ensureRepository, type Target } from './ensure-repository.ts';

const folder = temporaryFolder(scopeOfAllTests());
const published = join(folder, 'published');
let preset: Preset;
beforeAll(async () => {
  preset = await tinyPublishedPreset11(folder);
  await writePublishedFiles11(preset, published);
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

test.each<[string, Target]>([
  ['portable', 'onnxruntime'],
  ['for-engines', { tensorrt: { deviceMemory: 16e9 } }],
])('Kandinsky Video 1.1 is built %s from its files', async (repository, target) => {
  const built = await build(repository, target);
  expect(built.warnings).toEqual([]);
  expect(built.models.map(({ name, weights, isNew }) => [name, weights, isNew])).toEqual(
    models.map((name) => [name, 'trained', true]),
  );
  expect((await build(repository, target)).models.some(({ isNew }) => isNew)).toBe(false);
});

test('a checkpoint that is mostly used is linked, not copied', async () => {
  expect((await readdir(join(folder, 'portable', 'keyframe_unet', '1'))).sort()).toContain('t2v.pt');
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

test('every fault of configs.json is named before anything is written', async () => {
  const path = join(published, 'configs.json');
  const { t2v, interpolation, image_movq } = configsOf(preset);
  const wrong = {
    t2v: { configs: { ...t2v.configs, colour: 1 } },
    interpolation: { configs: { ...interpolation.configs, pass_skip_frames: false } },
    image_movq: { configs: { ...image_movq.configs, temporal: true } },
  };
  await writeFile(path, JSON.stringify(wrong));
  try {
    const refusal = await build('refused').then(String, String);
    for (const fault of [
      /keyframe_unet: [\s\S]*configs\.json: t2v: configs: .*`colour` is not a known field/,
      /configs\.json: interpolation: configs: `pass_skip_frames` must be true \(got false\)/,
      /picture_decoder: [\s\S]*`temporal` is not a known field[\s\S]*picture_encoder: /,
      /configs\.json: video_movq: configs must be an object/,
    ]) {
      expect(refusal).toMatch(fault);
    }
    await expect(readdir(join(folder, 'refused'))).rejects.toThrow('ENOENT');
  } finally {
    await writeFile(path, JSON.stringify(configsOf(preset)));
  }
});
