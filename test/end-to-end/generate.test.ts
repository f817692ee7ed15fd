import { createHash } from 'node:crypto';
import { chmod, mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { beforeAll, describe, expect, test } from '@jest/globals';
import { plainPicture } from '../../gateway/testing/pictured.ts';
import { packageRoot } from '../../services/kit/package-root.ts';
import { temporaryFolder } from '../../services/kit/testing/temporary-folder.ts';
import { scopeOfAllTests } from '../../services/kit/testing/test-scope.ts';
import { loadPreset } from '../../services/pipeline/preset.ts';
import type { TensorEntry } from '../../services/pipeline/safetensors/layout.ts';
import { writeSafetensors } from '../../triton-models/checkpoints/safetensors-writer.ts';
import { parametersOf, presetNetworks } from '../../triton-models/networks/preset-networks.ts';
import { type CliResult, callCli, runCli, startCli, startService } from '../support/cli.ts';
import { tinyPreset11 } from '../support/published-files-1.1.ts';
import { tinyPreset } from '../support/tiny-preset.ts';

const prompt = 'a large red circle moving left on a navy background';
/** Few steps: these tests are about the path through the mesh, not about the picture. */
const quick = ['--steps', '3', '--interpolation-steps', '2'];

const scope = scopeOfAllTests();
const folder = temporaryFolder(scope);
beforeAll(async () => {
  // Root's PostgreSQL runs as another user, who has to get to its data in here.
  await chmod(folder, 0o711);
});

async function generate(
  file: string,
  ...options: string[]
): Promise<{ result: CliResult; video: Buffer; frames: string[] }> {
  const frames = join(folder, `${file}-frames`);
  const output = join(folder, file);
  const outputs = ['--output', output, '--frames', frames, '--json'];
  const args = ['generate', prompt, ...quick, ...outputs, ...options];
  // Starting another mesh takes far longer than making a video.
  const result = await (options.includes('--address') ? callCli(args) : runCli([...args, '--preset', tinyPreset]));
  expect(result).toMatchObject({ code: 0 });
  const files = (await readdir(frames)).sort();
  const hashes = await Promise.all(files.map(async (name) => sha256(await readFile(join(frames, name)))));
  return { result, video: await readFile(output), frames: hashes };
}

function sha256(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex');
}

describe('one command', () => {
  test('makes a video, a storyboard and the requested frames, and reports them as JSON', async () => {
    const { result, video, frames } = await generate('video.mp4', '--seed', '7');
    const summary = JSON.parse(result.stdout);
    expect(summary).toMatchObject({ seed: '7', frames: 17, file: join(folder, 'video.mp4') });
    expect(summary.secondsPerStage.map(({ stage }: { stage: string }) => stage)).toEqual([
      'text encoder',
      'keyframes',
      'interpolation',
      'decoder',
    ]);
    expect(frames).toHaveLength(17);
    expect(new Set(frames).size).toBeGreaterThan(5);
    expect(video.subarray(4, 8).toString()).toBe('ftyp');
    expect((await readFile(join(folder, 'video.storyboard.png'))).subarray(1, 4).toString()).toBe('PNG');
    expect((await readdir(folder)).filter((file) => file.endsWith('.part'))).toEqual([]);
  });

  test('Ctrl-C cancels, leaves no file and ends with 130', async () => {
    const output = join(folder, 'cancelled.mp4');
    const cli = startCli(['generate', prompt, '--preset', tinyPreset, '--steps', '1000', '--output', output]);
    await new Promise<void>((resolve) => {
      cli.child.stderr?.on('data', () => cli.stderr().includes('keyframes: started') && resolve());
    });
    cli.child.kill('SIGINT');
    const { code, stderr } = await cli.finished;
    expect(code).toBe(130);
    expect(stderr).toMatch(/cancelled\n$/);
    expect((await readdir(folder)).filter((file) => file.startsWith('cancelled'))).toEqual([]);
  });
});

test('serve offers several presets as models of one gateway, and the first with a LoRA', async () => {
  const environment = { FUSIONFRAMES_LOG_LEVEL: 'silent', FUSIONFRAMES_MODELS_FOLDER: join(folder, 'models') };
  const lora = await writeLora(join(folder, 'ink.safetensors'));
  const flags = ['--preset', tinyPreset, '--preset', tinyPreset11, '--lora', `ink=keyframe_unet=${lora}:0.5`];
  const { address, stop } = scope.add(await startService('', environment, '127.0.0.1:0', flags));
  const tiny = ['--fps', 'low', '--address', address, '--model', 'tiny', '--seed', '5'];
  const { result, video, frames } = await generate('tiny.webp', ...tiny);
  expect(frames).toHaveLength(5);
  expect(video.subarray(8, 12).toString()).toBe('WEBP');
  // Progress is plain lines when piped.
  expect(result.stderr).toMatch(/keyframes: started\n/);
  expect(result.stderr).toMatch(/keyframes: 3\/3 in [\d.]+ s\n/);
  expect(result.stderr).not.toContain('\x1b');
  const inked = await generate('ink.mp4', ...tiny, '--lora', 'ink');
  expect(new Set([...frames, ...inked.frames]).size).toBe(10);
  const other = await callCli(['generate', 'x', '--address', address, '--model', 'tiny', '--lora', 'ink:1']);
  expect(other.stderr).toContain('`--lora` must be ink:0.5 (got "ink:1")');
  // Kandinsky Video 1.1's kind: its keyframes continue a first frame, and its interpolation reads the prompt.
  const continuing = ['--address', address, '--model', 'tiny-1.1', '--seed', '5'];
  const still = await generate('still.mp4', ...continuing, '--motion', 'low');
  expect(still.frames).toHaveLength(13);
  const moving = await generate('moving.mp4', ...continuing, '--motion', 'extreme');
  expect(moving.frames).not.toEqual(still.frames);
  // Its interpolation needs no keyframes of its own.
  await mkdir(join(folder, 'walk'));
  for (const [name, colour] of [
    ['1.png', '#fff'],
    ['2.png', '#00f'],
  ] as const) {
    await writeFile(join(folder, 'walk', name), await plainPicture(colour));
  }
  const between = await generate('between.mp4', ...continuing, '--keyframes', join(folder, 'walk'));
  expect(between.frames).toHaveLength(5);
  expect(JSON.parse(between.result.stdout)).toMatchObject({ givenKeyframes: 2 });
  // The version with a LoRA has all that its own stages call.
  const inkedBetween = await generate('ink-between.mp4', ...tiny, '--lora', 'ink', '--keyframes', join(folder, 'walk'));
  expect(inkedBetween.frames).toHaveLength(2);
  const unmoved = await callCli(['generate', 'x', '--address', address, '--model', 'tiny', '--motion', 'low']);
  expect(unmoved.stderr).toContain('`--motion` must be absent: tiny does not have this option (got "low")');
  const unknown = await callCli(['generate', 'x', '--address', address, '--model', 'nano']);
  expect(unknown.stderr).toContain('`--model` "nano" not found; available: tiny, tiny@ink_0.5, tiny-1.1');
  expect(await stop()).toBe(0);
});

/** A LoRA of one layer of the tiny preset's keyframes network. */
async function writeLora(path: string): Promise<string> {
  const { shapes } = parametersOf(presetNetworks(loadPreset(tinyPreset)).keyframes);
  const [name, [out, inputs]] = [...shapes].find(([each]) => each.endsWith('attention.to_value.weight'))! as [
    string,
    [number, number],
  ];
  const layer = name.slice(0, -'.weight'.length);
  const parts = new Map<string, TensorEntry>([
    [`${layer}.lora_A.weight`, { dataType: 'F32', shape: [1, inputs] }],
    [`${layer}.lora_B.weight`, { dataType: 'F32', shape: [out, 1] }],
  ]);
  await writeSafetensors(path, parts, (part) => {
    const values = Float32Array.from({ length: Math.max(...parts.get(part)!.shape) }, (_, i) => Math.sin(1 + i));
    return new Uint8Array(values.buffer);
  });
  return path;
}

describe('invalid input is reported in one clear line', () => {
  test.each<[string, string[], number, RegExp]>([
    ['an empty prompt', ['generate', ''], 2, /prompt/],
    ['a blank prompt', ['generate', '   '], 2, /prompt/],
    ['no prompt', ['generate'], 2, /Pass either a prompt or --prompts/],
    ['an unknown frame rate', ['generate', 'x', '--fps', 'fast'], 2, /low, medium, high/],
    ['an unknown sampler', ['generate', 'x', '--sampler', 'euler'], 2, /dpm-solver\+\+, unipc, ddim, ancestral/],
    ['an unknown preset', ['generate', 'x', '--preset', 'mega'], 2, /`preset` must be one of .*nano.*\(got "mega"\)/],
    ['an unknown option', ['generate', 'x', '--speed', '9'], 2, /`--speed` is not a known option/],
    ['an unknown command', ['make', 'x'], 2, /`command` must be one of .*\(got "make"\)/],
    ['an unknown service', ['serve', 'painter'], 2, /text-encoder/],
    [
      'a seed that is not a number',
      ['generate', 'x', '--seed', 'abc'],
      2,
      /`--seed` must be .*18446744073709551615.* \(got "abc"\)/,
    ],
    ['a seed beyond 64 bits', ['generate', 'x', '--seed', '18446744073709551616'], 2, /--seed/],
    ['a seed below -1', ['generate', 'x', '--seed=-2'], 2, /--seed/],
    ['no steps', ['generate', 'x', '--steps', '0'], 2, /`--steps` must be a whole number from 1 to 1000 \(got "0"\)/],
    ['too many steps', ['generate', 'x', '--interpolation-steps', '1001'], 2, /--interpolation-steps/],
    ['a scale that is not a number', ['generate', 'x', '--guidance-scale', 'NaN'], 2, /--guidance-scale/],
    ['a scale out of range', ['generate', 'x', '--interpolation-guidance-scale', '51'], 2, /0 to 50/],
    ['a size without a height', ['generate', 'x', '--size', '64'], 2, /`--size` must be .*\(got "64"\)/],
    [
      'a size not a multiple of 8',
      ['generate', 'x', '--size', '60x128'],
      2,
      /The width of `--size` must be 128 \(got 60\)/,
    ],
    ['a size beyond the limits', ['generate', 'x', '--size', '8000x8000'], 2, /8000/],
    [
      'a model without a gateway',
      ['generate', 'x', '--model', 'nano'],
      2,
      /`--model` must be absent without --address/,
    ],
    [
      'keyframes that are no clip',
      ['generate', 'x', '--keyframes', join(packageRoot, 'package.json')],
      2,
      /`--keyframes` must be an MP4, .*the file cannot be read/,
    ],
    [
      'keyframes and a picture',
      ['generate', 'x', '--keyframes', 'walk.mp4', '--image', 'cat.png'],
      2,
      /`--keyframes <path>` cannot be used with `--image <file>`/,
    ],
    ['an output of another kind', ['generate', 'x', '--output', 'video.avi'], 2, /--output.*\.mp4 or \.webp/],
    ['an output in no folder', ['generate', 'x', '--output', '/nowhere/video.mp4'], 2, /--output.*folder that exists/],
    [
      'a gateway that is down',
      ['generate', 'x', '--address', '127.0.0.1:1'],
      1,
      /127\.0\.0\.1:1.*start a gateway with `fusionframes serve`.*UNAVAILABLE/,
    ],
  ])('%s', async (_, args, code, message) => {
    const result = await callCli(args);
    expect(result.stderr).toMatch(message);
    expect(result.stderr).not.toMatch(/\n\s+at /);
    expect(result.code).toBe(code);
    expect(result.stdout).toBe('');
  });

  test('an output path that is a folder', async () => {
    await mkdir(join(folder, 'folder.mp4'));
    const result = await callCli(['generate', 'x', '--output', join(folder, 'folder.mp4')]);
    expect(result.code).toBe(2);
  });

  test('an invalid preset file', async () => {
    const file = join(folder, 'broken.json');
    await writeFile(file, '{"name": "broken"}');
    const result = await callCli(['generate', 'x', '--preset', file]);
    expect(result).toMatchObject({ code: 2, stdout: '' });
    expect(result.stderr).toMatch(/not a valid preset: `description` must be text \(got nothing\)/);
  });
});
