import { access, copyFile, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeAll, expect, test } from '@jest/globals';
import { temporaryFolder } from '../../services/kit/testing/temporary-folder.ts';
import { scopeOfAllTests } from '../../services/kit/testing/test-scope.ts';
import type { Preset } from '../../services/pipeline/preset.ts';
import { tinyPublishedPreset, writePublishedFiles } from '../../test/support/published-files.ts';
import { pulledFile } from '../checkpoints/pull-record.ts';
import { presetModels } from '../packaging/model-set.ts';
import { type PullOptions, pullModels } from './pull-models.ts';

const folder = temporaryFolder(scopeOfAllTests());
let preset: Preset;
const at = (...names: string[]) => join(folder, ...names);
beforeAll(async () => {
  preset = await tinyPublishedPreset(folder);
  await writePublishedFiles(preset, { plain: at('plain'), published: at('published'), encoder: 'pytorch' });
});
afterEach(() => rm(at('output'), { recursive: true, force: true }));

let progress: string[];
const pull = (options: Partial<PullOptions> = {}) => {
  progress = [];
  return pullModels(presetModels(preset), {
    from: at('published'),
    output: at('output'),
    hub: { endpoint: 'http://127.0.0.1:9', token: '', timeoutMilliseconds: 5000, firstWaitMilliseconds: 1 },
    progress: {
      unchanged: (name) => progress.push(`${name} unchanged`),
      start: (name) => progress.push(name),
      advance: () => {},
      done: () => progress.push('done'),
    },
    ...options,
  });
};
const isThere = (...names: string[]) =>
  access(at('output', ...names)).then(
    () => true,
    () => false,
  );
const isLinked = async () => (await stat(at('output', 'movq.pt'))).ino === (await stat(at('published', 'movq.pt'))).ino;

test('files are copied, and the copies are pull’s own', async () => {
  await pull();
  expect(await isLinked()).toBe(false);
  expect((await readFile(at('output', 'movq.pt'))).equals(await readFile(at('published', 'movq.pt')))).toBe(true);
  expect(await isThere('flan-ul2', 'pytorch_model-00003-of-00003.bin')).toBe(false);
  expect(await pulledFile(at('output', 'movq.pt'))).toEqual({ sha256: expect.stringMatching(/^[0-9a-f]{64}$/) });
  expect(await pulledFile(at('output', 'flan-ul2', 'config.json'))).toBeDefined();
  await pull();
  expect(progress.every((line) => line.endsWith(' unchanged'))).toBe(true);
});

test('files are linked on request and still belong to the user', async () => {
  await pull({ link: true });
  expect(await isLinked()).toBe(true);
  expect(await pulledFile(at('output', 'movq.pt'))).toBeUndefined();
  await expect(pull({ from: 'hub', link: true })).rejects.toThrow('`--link` only applies to a folder');
});

test('an earlier copy is as good as a new one; any other file is left alone', async () => {
  await pull();
  await rm(at('output', 'movq.pt'));
  await copyFile(at('published', 'movq.pt'), at('output', 'movq.pt'));
  await pull();
  expect(progress.every((line) => line.endsWith(' unchanged'))).toBe(true);
  await rm(at('output', 'movq.pt'));
  await writeFile(at('output', 'movq.pt'), 'my own');
  await expect(pull()).rejects.toThrow(/movq\.pt exists and differs from .*movq\.pt: remove it/);
});

test('all missing files are named', async () => {
  await expect(pull({ from: at('presets') })).rejects.toThrow(
    'ai-forever/KandinskyVideo: not found: weights/kandinsky_video.pt, weights/kandinsky_video_interpolation.pt, weights/movq.pt',
  );
});

test('files that do not fit are removed again', async () => {
  await pull();
  await rm(at('bad'), { recursive: true, force: true });
  await pull({ output: at('bad') });
  await rm(at('bad', 'movq.pt'));
  await writeFile(at('bad', 'movq.pt'), 'cut short');
  await rm(at('output'), { recursive: true });
  await expect(pull({ from: at('bad') })).rejects.toThrow(
    /movq_decoder: checkpoint: .*movq\.pt is not a valid checkpoint: it is text: "cut short"/,
  );
  expect((await readdir(at('output'), { recursive: true })).filter((name) => name.includes('.'))).toEqual([]);
});

test('a missing folder, a revision', async () => {
  await expect(pull({ from: at('nowhere') })).rejects.toThrow(
    /`--from` must be hub, or a folder that exists \(got ".*nowhere"\)/,
  );
  await expect(pull({ revisions: ['v1'] })).rejects.toThrow('`--revision` only applies to the hub');
});
