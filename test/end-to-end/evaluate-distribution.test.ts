import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { beforeAll, describe, expect, test } from '@jest/globals';
import sharp from 'sharp';
import { temporaryFolder } from '../../services/kit/testing/temporary-folder.ts';
import { scopeOfAllTests } from '../../services/kit/testing/test-scope.ts';
import { callCli } from '../support/cli.ts';

const folder = temporaryFolder(scopeOfAllTests());
const at = (...names: string[]) => join(folder, ...names);
const environment = { FUSIONFRAMES_MODELS_FOLDER: at('models') };
const [videos, frames] = [4, 11] as const;

beforeAll(async () => {
  // The published network, thirty times narrower.
  const models = { i3d: { architecture: 'i3d', network: { num_classes: 5, width: 0.03 } } };
  await mkdir(at('networks'));
  await writeFile(at('networks', 'tiny.json'), JSON.stringify({ description: 'tiny', models }));
  for (let video = 0; video < videos; video++) {
    await writeFrames(`real/${video}`, (frame) => ({ r: 60 * video, g: 10 * frame, b: 90 }));
    await writeFrames(`generated/${video}`, (frame) => ({ r: 30 * video, g: 60, b: 20 * frame }));
  }
});

interface Result {
  fvd: { value: number; interval: { low: number; high: number } };
  inceptionScore: { mean: number; deviation: number; interval: { low: number; high: number } };
  choices: Record<string, unknown>;
  videos: { real: number; generated: number };
  warnings: string[];
}

async function evaluated(...args: Parameters<typeof evaluate>): Promise<Result> {
  const { code, stdout, stderr } = await callCli(evaluate(...args), environment);
  expect({ code, stderr: code === 0 ? '' : stderr }).toEqual({ code: 0, stderr: '' });
  return JSON.parse(stdout);
}

test('both figures with intervals and every choice; random weights are marked everywhere', async () => {
  const csv = at('figures.csv');
  const result = await evaluated('real', 'generated', '--json', '--csv', csv, '--start', 'random');
  expect(result).toMatchObject({ videos: { real: videos, generated: videos } });
  expect(result.choices).toEqual({
    protocol: 'stylegan-v, changed',
    network: 'tiny',
    weights: 'random',
    videos,
    frames: 9,
    stride: 1,
    start: 'random',
    resolution: null,
    crop: 'none',
    features: 'logits',
    splits: 2,
    resize: 'bilinear to 224x224, without antialiasing',
    seed: '0',
    resamples: 4,
  });
  const { fvd, inceptionScore: score } = result;
  expect(fvd.value).toBeGreaterThan(0);
  expect(fvd.interval.low).toBeLessThan(fvd.interval.high);
  expect(score.mean).toBeGreaterThanOrEqual(1);
  expect(score.mean).toBeLessThanOrEqual(5);
  const lines = (await readFile(csv, 'utf8')).split('\n');
  expect(lines[0]).toMatch(/^figure,value,low,high,protocol,network,weights,videos,frames,/);
  expect(lines[1]).toBe(
    `fvd,${fvd.value},${fvd.interval.low},${fvd.interval.high},"stylegan-v, changed",tiny,random,4,9,1,random,,none,logits,2,"bilinear to 224x224, without antialiasing",0,4`,
  );
  const picture = await sharp(at('distribution.png')).metadata();
  // The plot, and of four videos the two that are least and the two that are most like a real one.
  expect(picture).toMatchObject({ format: 'png', width: 960, height: 640 + 4 * 144 });
  expect(await readdir(folder)).not.toContain('distribution.png.results.jsonl');
});

test('a set has no distance from itself, and too few videos for the features are named', async () => {
  const choices = ['--start', 'beginning', '--features', 'features', '--crop', 'centre', '--json'];
  const { fvd, warnings } = await evaluated('real', 'real', ...choices);
  expect(fvd.value).toBeLessThan(1e-6);
  expect(fvd.interval.low).toBeGreaterThanOrEqual(0);
  expect(warnings).toEqual([expect.stringMatching(/^the covariance of \d+ features is singular with 4 videos: /)]);
});

test('the Inception Score of another classifier, which sees 16 frames', async () => {
  const models = { c3d: { architecture: 'c3d', network: { n_outputs: 5, width: 1 / 64 } } };
  await writeFile(at('networks', 'narrow.json'), JSON.stringify({ description: 'narrow', models }));
  for (const video of [0, 1]) {
    await writeFrames(`sixteen/${video}`, (frame) => ({ r: 60 * video, g: 10 * frame, b: 90 }), { count: 16 });
  }
  const classifier = ['--classifier', at('networks', 'narrow.json')];
  const sixteen = ['--videos', '2', '--frames', '16', '--splits', '1', '--json'];
  const [own, other] = [
    await evaluated('sixteen', 'sixteen', ...sixteen),
    await evaluated('sixteen', 'sixteen', ...classifier, ...sixteen),
  ];
  expect(other.choices).toMatchObject({ network: 'tiny', classifier: 'narrow', classifierWeights: 'random' });
  expect(own.choices).not.toHaveProperty('classifier');
  expect(other.inceptionScore.mean).not.toBe(own.inceptionScore.mean);
  const wrong = await callCli(evaluate('sixteen', 'sixteen', ...classifier), environment);
  expect(wrong.stderr).toContain('`--frames` must be 16 with --classifier, whose network sees as many (got 9)');
});

test('short videos and other sizes are refused with the options that protocols imply, which then work', async () => {
  await writeFrames('mixed/0', () => ({ r: 1, g: 2, b: 3 }), { count: 4 });
  await writeFrames('mixed/1', () => ({ r: 200, g: 2, b: 3 }), { width: 40 });
  for (let video = 2; video < videos + 1; video++) {
    await writeFrames(`mixed/${video}`, (frame) => ({ r: 9 * video, g: 10 * frame, b: 90 }));
  }
  const short = await callCli(evaluate('real', 'mixed'), environment);
  expect(short.code).toBe(2);
  expect(short.stderr).toMatch(
    /`generated` must be videos of at least 9 frames, but \S+0 has 4: protocols leave short videos out, as --skip-short does/,
  );
  const sizes = await callCli(evaluate('real', 'mixed', '--skip-short'), environment);
  expect(sizes.code).toBe(2);
  expect(sizes.stderr).toMatch(
    /`generated` must be videos of 32x24, as \S+0: .* as --resolution does \(got \S+1, 40x24\)/,
  );
  const done = await callCli(evaluate('real', 'mixed', '--skip-short', '--resolution', '16'), environment);
  expect(done.stderr).toContain('warning: generated: left out 1 with fewer than 9 frames, such as ');
  expect(done.stdout).toMatch(/^FVD +[\d.e-]+ \(RANDOM WEIGHTS\) +\S+ to \S+ +stylegan-v, changed$/m);
  expect(done.stdout).toMatch(/^Inception Score {2}\S+ ± \S+ \(RANDOM WEIGHTS\) +\S+ to \S+ +none$/m);
  expect(done.stdout).toMatch(/^resolution +16$/m);
});

describe('what does not fit is refused', () => {
  test.each<[string[], string]>([
    [['--videos', '5'], '`real` must be a folder of at least 5 videos, but it has 4: --videos compares fewer'],
    [['--frames', '8'], '`--frames` must be a whole number from 9'],
    [['--splits', '3'], '`--splits` must be at most 2 for '],
    [['--resamples', '1'], '`--resamples` must be 0 for no interval, or at least 2'],
    [['--protocol', 'mine'], '`--protocol` must be one of stylegan-v, videogpt'],
    [['--start', 'end'], '`--start` must be one of random, beginning'],
    [['--seed', '-1'], '`--seed` must be a whole number from 0'],
    [['--network', 'lpips-alex'], 'networks with a model of the architecture i3d'],
    [['--classifier', 'lpips-alex'], '`--classifier` must be networks with a model of the architecture c3d'],
    [['--steps', '2'], '`--steps` must be absent without --prompts, which makes videos (got "2")'],
    [['--csv', 'figures.txt'], '`--csv` must be a file name ending in .csv'],
  ])('%s', async (options, message) => {
    const { code, stdout, stderr } = await callCli(evaluate('real', 'generated', ...options), environment);
    expect({ code, stdout, stderr }).toEqual({ code: 2, stdout: '', stderr: expect.stringContaining(message) });
  });

  test('a folder without videos', async () => {
    await mkdir(at('empty'));
    const { code, stderr } = await callCli(evaluate('real', 'empty'), environment);
    expect({ code, stderr }).toEqual({ code: 2, stderr: expect.stringContaining('`generated` must be a video') });
  });
});

function evaluate(real: string, generated: string, ...options: string[]): string[] {
  const usual = { network: at('networks', 'tiny.json'), videos: `${videos}`, frames: '9', splits: '2', resamples: '4' };
  const flags = Object.entries({ ...usual, output: at('distribution.png') }).flatMap(([name, value]) =>
    options.includes(`--${name}`) ? [] : [`--${name}`, value],
  );
  return ['evaluate', 'distribution', at(real), at(generated), '--random-weights', ...flags, ...options];
}

interface Colour {
  r: number;
  g: number;
  b: number;
}

async function writeFrames(
  name: string,
  colourOf: (frame: number) => Colour,
  { count = frames, width = 32 }: { count?: number; width?: number } = {},
): Promise<void> {
  await mkdir(at(name), { recursive: true });
  for (let frame = 0; frame < count; frame++) {
    const picture = sharp({ create: { width, height: 24, channels: 3, background: colourOf(frame) } });
    await picture.png().toFile(at(name, `${frame}.png`));
  }
}
