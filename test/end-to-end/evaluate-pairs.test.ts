import { cp, mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { beforeAll, describe, expect, test } from '@jest/globals';
import sharp from 'sharp';
import { makerOf, readTasks } from '../../cli/prompt-tasks.ts';
import type { FrameFormat, FrameSink } from '../../gateway/media/frame-sink.ts';
import { openMp4Sink } from '../../gateway/media/mp4-sink.ts';
import { openWebpSink } from '../../gateway/media/webp-sink.ts';
import { startInferenceServer } from '../../services/inference/server.ts';
import { createLogger } from '../../services/kit/log.ts';
import { temporaryFolder } from '../../services/kit/testing/temporary-folder.ts';
import { scopeOfAllTests } from '../../services/kit/testing/test-scope.ts';
import { loadPreset } from '../../services/pipeline/preset.ts';
import { randomWeightsWarnings } from '../../triton-models/packaging/weights-warnings.ts';
import { callCli } from '../support/cli.ts';
import { tinyPreset } from '../support/tiny-preset.ts';

const [width, height, frames] = [48, 32, 20] as const;
const folder = temporaryFolder(scopeOfAllTests());
const at = (...names: string[]) => join(folder, ...names);

beforeAll(async () => {
  await writeVideo('a/cat.mp4', openMp4Sink);
  await writeVideo('a/dog.webp', openWebpSink);
  await writePictures('b/cat');
  await writePictures('b/dog');
  await writePictures('short', { count: 7 });
  await writePictures('small', { side: 8 });
  await mkdir(at('empty'));
  await writeVideo('animations/v1.webp', openWebpSink);
  await writeVideo('animations/v2.webp', openWebpSink);
  await cp(at('a'), at('mixed'), { recursive: true });
  await cp(at('b/cat/frame-1.png'), at('mixed/poster1.png'));
  await writeFile(at('text.mp4'), 'not a video');
  await copyFrames('seeds', ['seed42_0001.png', 'seed42_0003.png', 'seed42_0005.png']);
  await copyFrames('two-seeds', ['seed42_0001.png', 'seed42_0002.png', 'seed43_0001.png']);
  await copyFrames('gap', ['1.png', '2.png', '4.png']);
  await copyFrames('twice', ['1.png', '01.png']);
});

test('compares folders of videos by name, whatever their formats: table, CSV and picture', async () => {
  const [picture, csv] = [at('pairs.png'), at('pairs.csv')];
  const { code, stdout, stderr } = await callCli(compare('a', 'b', '--output', picture, '--csv', csv));
  expect({ code, stderr: stderr.includes('frames: 40/40') }).toEqual({ code: 0, stderr: true });
  expect(stdout.split('\n').map((line) => line.split(/\s+/)[0])).toEqual(['video', 'cat', 'dog', 'mean', picture, '']);
  const lines = (await readFile(csv, 'utf8')).trim().split('\n');
  expect(lines).toHaveLength(1 + 2 * frames);
  expect(lines[0]).toBe('video,frame,mse,psnr,ssim');
  expect(lines[21]).toMatch(/^dog,0,0\.0\d+,\d\d\.\d+,0\.\d+$/);
  expect(await sharp(picture).metadata()).toMatchObject({ format: 'png', width: 960 });
});

test('control characters of names are escaped in the table and the picture', async () => {
  for (const folder of ['red-a', 'red-b']) {
    await cp(at('a/cat.mp4'), at(folder, '\u001b[31mred\ufffe.mp4'));
  }
  const { code, stdout } = await callCli(compare('red-a', 'red-b', '--frames', '1', '--output', at('red.png')));
  expect({ code, stdout }).toEqual({ code: 0, stdout: expect.stringMatching(/^\\u001b\[31mred.* equal /m) });
});

test('equal videos score perfectly, compressed ones well, others poorly', async () => {
  const figures = async (reference: string, candidate: string, ...options: string[]) => {
    const { stdout } = await callCli(compare(reference, candidate, '--json', '--output', at('one.png'), ...options));
    const { mean, videos } = JSON.parse(stdout);
    return { ...mean, frames: videos[0].frames.length };
  };
  const compressed = await figures('b/cat', 'a/cat.mp4');
  expect(compressed).toEqual({ mse: expect.any(Number), psnr: expect.any(Number), ssim: expect.any(Number), frames });
  expect(compressed.psnr).toBeGreaterThan(30);
  expect(compressed.ssim).toBeGreaterThan(0.9);
  expect(await figures('b/cat', 'b/dog')).toEqual({ mse: 0, psnr: null, ssim: 1, frames });
  await writePictures('negative', { invert: true });
  expect((await figures('b/cat', 'negative')).ssim).toBeLessThan(0);
  expect(await figures('b/cat', 'short', '--frames', '7')).toMatchObject({ mse: 0, frames: 7 });
  expect(await figures('seeds', 'seeds')).toMatchObject({ mse: 0, frames: 3 });
});

test('numbered WebP animations are videos, not frames', async () => {
  const options = ['--frames', '2', '--json', '--output', at('animations.png')];
  const { stdout } = await callCli(compare('animations', 'animations', ...options));
  expect(JSON.parse(stdout).videos.map(({ name }: { name: string }) => name)).toEqual(['v1', 'v2']);
});

test('LPIPS of random weights is marked everywhere', async () => {
  const csv = at('lpips.csv');
  const options = ['--lpips', 'alex', '--random-weights', '--csv', csv, '--output', at('lpips.png')];
  const environment = { FUSIONFRAMES_MODELS_FOLDER: at('models') };
  const { code, stdout } = await callCli(compare('b', 'a', ...options, '--frames', '9'), environment);
  expect(code).toBe(0);
  expect(stdout).toMatch(
    /^cat .* -?0\.\d{4} \(RANDOM WEIGHTS\)\ndog .* \(RANDOM WEIGHTS\)\nmean .* \(RANDOM WEIGHTS\)$/m,
  );
  const lines = (await readFile(csv, 'utf8')).trim().split('\n');
  expect(lines[0]).toBe('video,frame,mse,psnr,ssim,lpips,lpips_weights');
  expect(lines[1]).toMatch(/^cat,0,[\d.e-]+,[\d.]+,[\d.]+,-?[\d.e-]+,random$/);

  const same = await callCli(compare('b/cat', 'b/dog', ...options, '--json'), environment);
  const { lpips, mean } = JSON.parse(same.stdout);
  expect({ lpips, mean }).toEqual({
    lpips: { network: 'lpips-alex', weights: 'random' },
    mean: { mse: 0, psnr: null, ssim: 1, lpips: 0 },
  });
});

test('figures of videos that were made with random weights are marked', async () => {
  const prompts = at('prompts.jsonl');
  await writeFile(prompts, '{"prompt":"a small red circle","name":"cat"}');
  const preset = 'nano-masked-frames';
  const taskOf = async (options: { preset: string; address?: string; model?: string }) =>
    (await readTasks({ prompts, output: at('made'), ...options }, at('made'), await makerOf(options)))[0]!;
  const task = await taskOf({ preset });
  // Videos of another preset, gateway or model are made again.
  const others = [{}, { preset: 'nano' }, { address: 'a:1' }, { address: 'b:1' }, { address: 'a:1', model: 'big' }];
  const hashes = await Promise.all(others.map(async (other) => (await taskOf({ preset, ...other })).hash));
  expect([new Set(hashes).size, hashes[0]]).toEqual([others.length, task.hash]);
  await mkdir(at('made'));
  await cp(at('a/cat.mp4'), at('one/cat.mp4'));
  await cp(at('a/cat.mp4'), at('made/cat.mp4'));
  const warnings = randomWeightsWarnings(loadPreset(preset), [{ name: 'keyframe_unet', weights: 'random' }]);
  await writeFile(at('made/cat.json'), JSON.stringify({ request: task.hash, warnings }));
  const csv = at('made.csv');
  const options = ['--prompts', prompts, '--preset', preset, '--csv', csv, '--frames', '2', '--output', at('made.png')];
  const { code, stdout } = await callCli(compare('one', 'made', ...options));
  expect({ code, stdout }).toEqual({ code: 0, stdout: expect.stringMatching(/^cat .* equal \(RANDOM WEIGHTS\)/m) });
  expect(await readFile(csv, 'utf8')).toMatch(/^video,frame,mse,psnr,ssim,candidate_weights\ncat,0,.*,random\n/);
  const json = await callCli(compare('one', 'made', ...options, '--json'));
  expect(JSON.parse(json.stdout)).toMatchObject({ candidate: { weights: 'random' } });
  const later = await callCli(compare('one', 'made', '--frames', '2', '--output', at('made.png')));
  expect(later.stdout).toMatch(/^cat .* equal \(RANDOM WEIGHTS\)/m);
});

test('a remote server reports that its weights are random', async () => {
  const address = `unix://${at('inference.sock')}`;
  const repository = at('models', 'repository', 'lpips-alex');
  const server = await startInferenceServer({ repository, address, log: createLogger('test', 'silent') });
  try {
    const options = ['--lpips', 'alex', '--inference', address, '--frames', '2', '--output', at('lpips.png')];
    const { stdout } = await callCli(compare('b/cat', 'a/cat.mp4', ...options));
    expect(stdout).toMatch(/^cat .* \(RANDOM WEIGHTS\)$/m);
  } finally {
    await server.stop();
  }
});

test('LPIPS without weights says how to get them', async () => {
  const { code, stderr } = await callCli(
    compare('b/cat', 'a/cat.mp4', '--lpips', 'alex', '--output', at('never.png')),
    {
      FUSIONFRAMES_MODELS_FOLDER: at('no-models'),
    },
  );
  expect({ code, stderr }).toEqual({
    code: 1,
    stderr: expect.stringContaining(
      'run `fusionframes models pull lpips-alex`, or try the command with --random-weights',
    ),
  });
  expect(await readdir(folder)).not.toContain('never.png');
});

describe('through MoVQ', () => {
  const decoder = (...args: string[]) => callCli(['evaluate', 'decoder', ...args, '--output', at('movq.png')]);

  test("nano's loses little, frame by frame", async () => {
    const { code, stdout } = await decoder(at('b/cat'), '--frames', '3', '--json');
    const { decoder: facts, mean, videos } = JSON.parse(stdout);
    expect({ code, facts }).toEqual({
      code: 0,
      facts: { preset: 'nano', kind: 'image', parameters: 619_159, weights: 'trained' },
    });
    expect(mean.psnr).toBeGreaterThan(10);
    expect(videos[0].frames).toHaveLength(3);
  });

  test('a temporal one of random weights works in windows and is marked', async () => {
    const { folder: _, ...tiny } = loadPreset(tinyPreset);
    const network = { ...tiny.decoder.network, temporal: true };
    const weights = { ...tiny.weights, decoder: 'none' };
    const preset = { ...tiny, weights, decoder: { ...tiny.decoder, kind: 'video', framesPerWindow: 4, network } };
    await writeFile(at('tiny-video.json'), JSON.stringify(preset));
    const options = ['--preset', at('tiny-video.json'), '--frames', '9'];
    const { stderr } = await decoder(at('b/cat'), ...options);
    expect(stderr).toContain('none: put it there, or try the command with --random-weights');
    const { code, stdout } = await decoder(at('b/cat'), ...options, '--random-weights');
    expect(code).toBe(0);
    expect(stdout).toMatch(/^cat +9 .* dB \(RANDOM WEIGHTS\) .*\(RANDOM WEIGHTS\)$/m);
  });

  test.each([
    ['small', [], 'small must have sides that are multiples of 8 of at least 11 pixels (got 8x8): scale or crop it'],
    ['b/cat', ['--frames', '21'], 'cat must have at least 21 frames (got 20)'],
    ['empty', [], '`videos` must be a video, numbered frames, or a folder of'],
    ['b/cat', ['--preset', 'none'], '`--preset` must be one of '],
  ])('%s, %s is rejected', async (path, options, message) => {
    const { code, stdout, stderr } = await decoder(at(path), ...options);
    expect({ code, stdout, stderr }).toEqual({ code: 2, stdout: '', stderr: expect.stringContaining(message) });
  });
});

describe('mismatches are rejected before anything is compared', () => {
  test.each([
    ['a', 'nowhere', '`candidate` must be a video or a folder of videos that can be read (got "'],
    ['empty', 'b', '`reference` must be a video, numbered frames, or a folder of'],
    ['a', 'b/cat', '`candidate` must be a folder of videos, as the reference is'],
    ['a/cat.mp4', 'b', '`candidate` must be one video, as the reference is'],
    ['mixed', 'mixed', 'not both: it has the frame "poster1.png" and the video "cat.mp4"'],
    ['two-seeds', 'seeds', 'one series of numbered pictures: it has "seed42_0001.png" and "seed43_0001.png"'],
    ['seeds', 'gap', 'numbered without gaps: "4.png" follows "2.png"'],
    ['twice', 'seeds', 'one picture of each number: it has "01.png" and "1.png"'],
    ['b/cat', 'text.mp4', 'text.mp4 must be a readable video or picture'],
    ['b/cat', 'short', 'short must have 20 frames, as '],
    ['b/cat', 'small', 'small must be 48x32, the size of '],
    ['small', 'small', 'small must be at least 11 pixels on each side (got 8x8)'],
  ])('%s, %s', async (reference, candidate, message) => {
    const { code, stdout, stderr } = await callCli(compare(reference, candidate, '--output', at('never.png')));
    expect({ code, stdout, stderr }).toEqual({ code: 2, stdout: '', stderr: expect.stringContaining(message) });
    expect(await readdir(folder)).not.toContain('never.png');
  });

  test('options', async () => {
    for (const [option, value, message] of [
      ['--frames', '0', '`--frames` must be a whole number from 1'],
      ['--frames', '21', 'must have at least 21 frames (got 20)'],
      ['--csv', 'x.txt', '`--csv` must be a file name ending in .csv'],
      ['--lpips', 'squeeze', '`--lpips` must be one of off, alex, vgg'],
      ['--inference', 'a:1', '`--inference` must be absent without --lpips'],
      ['--output', 'x.jpg', '`--output` must be a file name ending in .png'],
    ] as const) {
      const { code, stderr } = await callCli([
        ...compare('b/cat', 'b/dog', '--output', at('never.png')),
        option,
        value,
      ]);
      expect({ code, stderr }).toEqual({ code: 2, stderr: expect.stringContaining(message) });
    }
  });

  test('a name missing in one folder', async () => {
    await writePictures('c/cat');
    const { code, stderr } = await callCli(compare('b', 'c', '--output', at('never.png')));
    expect({ code, stderr }).toEqual({ code: 2, stderr: expect.stringContaining('"dog" is missing') });
  });
});

function compare(reference: string, candidate: string, ...options: string[]): string[] {
  return ['evaluate', 'pairs', at(reference), at(candidate), ...options];
}

/** A soft spot that moves to the right. */
function frameOf(frame: number, side?: number): Uint8Array {
  const [columns, rows] = side ? [side, side] : [width, height];
  return Uint8Array.from({ length: columns * rows * 3 }, (_, i) => {
    const [x, y, channel] = [Math.floor(i / 3) % columns, Math.floor(i / 3 / columns), i % 3];
    const distance = (x - frame - 10) ** 2 + (y - 16) ** 2;
    return 30 + 60 * channel + Math.round(100 * Math.exp(-distance / 80));
  });
}

async function writeVideo(name: string, open: (path: string, format: FrameFormat) => FrameSink | Promise<FrameSink>) {
  await mkdir(dirname(at(name)), { recursive: true });
  const sink = await open(at(name), { width, height, frames, playbackRate: 8 });
  for (let frame = 0; frame < frames; frame++) {
    await sink.write(frameOf(frame));
  }
  await sink.finish();
}

/** As `ffmpeg` numbers them. */
async function copyFrames(name: string, files: string[]) {
  await mkdir(at(name));
  for (const file of files) {
    await cp(at('b/cat/frame-1.png'), at(name, file));
  }
}

async function writePictures(name: string, { count = frames, side, invert }: PictureOptions = {}) {
  await mkdir(at(name), { recursive: true });
  for (let frame = 0; frame < count; frame++) {
    const picture = frameOf(frame, side).map((value) => (invert ? 255 - value : value));
    const raw = { width: side ?? width, height: side ?? height, channels: 3 } as const;
    await sharp(picture, { raw }).toFile(at(name, `frame-${frame + 1}.png`));
  }
}

interface PictureOptions {
  count?: number;
  side?: number;
  invert?: boolean;
}
