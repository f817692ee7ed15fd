import { copyFile, mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { beforeAll, describe, expect, test } from '@jest/globals';
import sharp from 'sharp';
import { packageRoot } from '../../services/kit/package-root.ts';
import { temporaryFolder } from '../../services/kit/testing/temporary-folder.ts';
import { scopeOfAllTests } from '../../services/kit/testing/test-scope.ts';
import { callCli } from '../support/cli.ts';

const folder = temporaryFolder(scopeOfAllTests());
const at = (...names: string[]) => join(folder, ...names);
const fixture = (...names: string[]) => join(packageRoot, 'test', 'fixtures', ...names);
const environment = { FUSIONFRAMES_MODELS_FOLDER: at('models') };

interface Result {
  clipsim: number;
  network: string;
  weights: string;
  videos: { name: string; prompt: string; clipsim: number; frames: number[] }[];
}

beforeAll(async () => {
  await writeTinyClip();
  await writeFrames('videos/dark', 3, 20);
  await writeFrames('videos/light', 5, 220);
  await writeFile(at('prompts.json'), JSON.stringify({ light: 'a cat on a hat', dark: 'the cat' }));
  await writeFile(at('prompts.txt'), 'the cat\na cat on a hat\n');
});

test('similarity of every frame with its prompt, whichever way the prompts are given', async () => {
  const options = ['--json', '--csv', at('text.csv')];
  const { code, stdout, stderr } = await callCli(evaluate('prompts.json', 'videos', ...options), environment);
  expect({ code, stderr: stderr.includes('frames: 8/8') }).toEqual({ code: 0, stderr: true });
  const { clipsim, network, weights, videos } = JSON.parse(stdout) as Result;
  expect({ network, weights }).toEqual({ network: 'tiny', weights: 'trained' });
  expect(videos.map(({ name, prompt, frames }) => [name, prompt, frames.length])).toEqual([
    ['dark', 'the cat', 3],
    ['light', 'a cat on a hat', 5],
  ]);
  const [dark, light] = videos as [Result['videos'][number], Result['videos'][number]];
  expect(clipsim).toBeCloseTo((dark.clipsim + light.clipsim) / 2, 12);
  expect(dark.clipsim).toBeCloseTo(dark.frames.reduce((sum, value) => sum + value) / 3, 12);
  expect(videos.flatMap(({ frames }) => frames).every((value) => Math.abs(value) < 1)).toBe(true);
  const lines = (await readFile(at('text.csv'), 'utf8')).trim().split('\n');
  expect([lines.length, lines[0], lines[1]]).toEqual([
    9,
    'video,frame,clipsim,clip_weights',
    `dark,0,${dark.frames[0]},trained`,
  ]);
  const { stdout: table } = await callCli(evaluate('prompts.txt', 'videos'), environment);
  expect(table.replace(/ +/g, ' ')).toContain(`light 5 ${light.clipsim.toFixed(4)} a cat on a hat`);
  expect(await sharp(at('text.png')).metadata()).toMatchObject({ format: 'png', width: 960 });
  expect(await readdir(folder)).not.toContain('text.png.results.jsonl');
});

test('without a checkpoint: refused at once, or random weights with a stand-in vocabulary, marked', async () => {
  const network = JSON.parse(await readFile(at('networks', 'tiny.json'), 'utf8'));
  await writeFile(at('networks', 'untrained.json'), JSON.stringify({ ...network, checkpoint: '../nothing' }));
  const options = ['--network', at('networks', 'untrained.json')];
  const missing = await callCli(evaluate('prompts.txt', 'videos', ...options), environment);
  expect(missing).toEqual({
    code: 1,
    stdout: '',
    stderr: expect.stringMatching(/^fusionframes: tokenizer: .*nothing/),
  });
  const { code, stdout, stderr } = await callCli(
    evaluate('prompts.txt', 'videos', ...options, '--random-weights'),
    environment,
  );
  expect(code).toBe(0);
  expect(stdout).toMatch(/^light +5 +-?[\d.]+ \(RANDOM WEIGHTS\)/m);
  expect(stderr).toContain('warning: untrained has no tokenizer here: every byte of a prompt is a token');
  const json = await callCli(evaluate('prompts.txt', 'videos', ...options, '--random-weights', '--json'), environment);
  expect(JSON.parse(json.stdout)).toMatchObject({ weights: 'random', vocabulary: 'stand-in' });
});

describe('what does not fit is refused', () => {
  beforeAll(async () => {
    await writeFile(at('one.txt'), 'the cat\n');
    await writeFile(at('one.json'), '{"dark": "the cat"}');
    await writeFile(at('one.jsonl'), '{"name": "dark", "prompt": "the cat"}');
    await mkdir(at('empty'));
  });

  test.each<[string, string, string[], string]>([
    [
      'one.txt',
      'videos',
      [],
      'must be text of 2 lines, a prompt for each video in the order of their names, but it has 1',
    ],
    ['one.json', 'videos', [], 'a JSON object with the prompt of every video: "light" is missing'],
    ['nowhere.txt', 'videos', [], '`prompts` must be a file that can be read'],
    ['prompts.txt', 'videos', ['--make'], '`prompts` must be a .jsonl file with --make'],
    ['one.jsonl', 'videos', [], 'a file with the prompt of every video: "light" is missing'],
    ['prompts.txt', 'empty', [], '`videos` must be a video, numbered frames, or a folder of'],
    ['prompts.txt', 'videos', ['--frames', '4'], 'a video of at least 4 frames, but it has 3'],
    ['prompts.txt', 'videos', ['--network', 'i3d-kinetics-400'], 'networks with a model of the architecture clipText'],
    ['prompts.txt', 'videos', ['--network', 'nothing'], '`--network` must be one of c3d-ucf-101, clip'],
    ['prompts.txt', 'videos', ['--network', 'prompts.json'], 'a description of networks that judge videos'],
  ])('%s %s %s', async (prompts, videos, options, message) => {
    const given = options.map((each) => (each.endsWith('.json') ? at(each) : each));
    const { code, stdout, stderr } = await callCli(evaluate(prompts, videos, ...given), environment);
    expect({ code, stdout, stderr }).toEqual({ code: 2, stdout: '', stderr: expect.stringContaining(message) });
  });
});

function evaluate(prompts: string, videos: string, ...options: string[]): string[] {
  const network = options.includes('--network') ? [] : ['--network', at('networks', 'tiny.json')];
  return ['evaluate', 'text', at(prompts), at(videos), ...network, '--output', at('text.png'), ...options];
}

/** Networks of the published kind in small, with the weights of their reference and a tokenizer of 60 tokens. */
async function writeTinyClip(): Promise<void> {
  const golden = fixture('goldens', 'metrics-clip');
  const network = JSON.parse(await readFile(join(golden, 'config.json'), 'utf8')).constructor;
  const models = {
    clip_image: { architecture: 'clipImage', network },
    clip_text: { architecture: 'clipText', network },
  };
  const published = join(packageRoot, 'triton-models', 'sources', 'clip-vit-base-patch32.json');
  const sources = JSON.parse(await readFile(published, 'utf8'));
  for (const [part] of Object.values<[{ checkpoint: string }]>(sources.models)) {
    part.checkpoint = 'weights.safetensors';
  }
  await Promise.all(['networks', 'sources', 'weights'].map((name) => mkdir(at(name))));
  const description = { description: 'tiny', models, tokenizer: 'tokenizer.json', checkpoint: '../weights' };
  await writeFile(at('networks', 'tiny.json'), JSON.stringify(description));
  await writeFile(at('sources', 'tiny.json'), JSON.stringify(sources));
  await copyFile(join(golden, 'weights.safetensors'), at('weights', 'weights.safetensors'));
  await copyFile(fixture('tokenizers', 'clip.json'), at('weights', 'tokenizer.json'));
}

async function writeFrames(name: string, count: number, level: number): Promise<void> {
  await mkdir(at(name), { recursive: true });
  for (let frame = 0; frame < count; frame++) {
    const background = { r: level, g: level + frame * 5, b: level / 2 };
    const picture = sharp({ create: { width: 48, height: 32, channels: 3, background } });
    await picture.png().toFile(at(name, `${frame}.png`));
  }
}
