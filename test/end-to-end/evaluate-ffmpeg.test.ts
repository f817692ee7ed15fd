import { execFileSync } from 'node:child_process';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, expect, test } from '@jest/globals';
import { temporaryFolder } from '../../services/kit/testing/temporary-folder.ts';
import { scopeOfAllTests } from '../../services/kit/testing/test-scope.ts';
import { openClip } from '../../triton-models/metrics/open-clip.ts';
import { callCli } from '../support/cli.ts';

const folder = temporaryFolder(scopeOfAllTests());
const at = (...names: string[]) => join(folder, ...names);
const withFfmpeg = hasFfmpeg() ? test : test.skip;
const frames = 6;

beforeAll(() => {
  if (!hasFfmpeg()) {
    process.stderr.write('ffmpeg is not installed: its filters and decoder are not compared with `evaluate pairs`\n');
    return;
  }
  for (const name of ['original', 'decoded', 'fractal', 'dull']) {
    mkdirSync(at(name));
  }
  ffmpeg('-f', 'lavfi', '-i', 'testsrc2=size=160x120:rate=10', '-frames:v', String(frames), at('original', '%02d.png'));
  ffmpeg('-i', at('original', '%02d.png'), '-pix_fmt', 'yuv420p', '-crf', '30', at('video.mp4'));
  ffmpeg('-i', at('video.mp4'), at('decoded', '%02d.png'));
  // Where contrast alone differs, SSIM hardly depends on the window, which ffmpeg has another of.
  ffmpeg(
    '-f',
    'lavfi',
    '-i',
    'mandelbrot=size=160x120:rate=10',
    '-frames:v',
    String(frames),
    at('fractal', '%02d.png'),
  );
  ffmpeg('-i', at('fractal', '%02d.png'), '-vf', 'eq=contrast=0.8', at('dull', '%02d.png'));
});

withFfmpeg("PSNR is that of ffmpeg's filter", async () => {
  const expected = filter('psnr', 'original', 'decoded').map((line) => Number(/psnr_avg:([\d.]+)/.exec(line)![1]));
  const ours = await figures('original', 'decoded');
  expect(ours.map(({ psnr }, index) => Math.abs(psnr - expected[index]!) < 0.0051)).toEqual(Array(frames).fill(true));
});

withFfmpeg("SSIM is that of ffmpeg's filter", async () => {
  const expected = filter('ssim', 'fractal', 'dull').map((line) => Number(/All:([\d.]+)/.exec(line)![1]));
  const ours = await figures('fractal', 'dull');
  expect(ours.map(({ ssim }, index) => Math.abs(ssim - expected[index]!) < 0.001)).toEqual(Array(frames).fill(true));
});

withFfmpeg('a video of ffmpeg is decoded as ffmpeg decodes it', async () => {
  const { stdout } = await callCli(compare('decoded', 'video.mp4'));
  expect(JSON.parse(stdout).mean.mse).toBeLessThan(1e-5);
});

const inBt709 = ['-vf', 'scale=out_color_matrix=bt709', '-colorspace', 'bt709'];
const tenBits = ['-pix_fmt', 'yuv420p10le'];

const keep = (_: Buffer) => {};

withFfmpeg.each<[string, string[], (file: Buffer) => void]>([
  ['without tags', [], keep],
  ['BT.709', inBt709, keep],
  ['BT.2020', ['-vf', 'scale=out_color_matrix=bt2020', '-colorspace', 'bt2020nc'], keep],
  ['full range', ['-vf', 'scale=out_range=full,format=yuvj420p', '-color_range', 'pc'], keep],
  [
    'full range of BT.709',
    ['-vf', 'scale=out_color_matrix=bt709:out_range=full,format=yuvj420p', '-colorspace', 'bt709'],
    keep,
  ],
  ['4:4:4', ['-pix_fmt', 'yuv444p'], keep],
  ['4:2:2 of BT.709', [...inBt709, '-pix_fmt', 'yuv422p'], keep],
  ['grey', ['-pix_fmt', 'gray'], keep],
  ['10 bits', tenBits, keep],
  ['10 bits of BT.709', [...inBt709, ...tenBits], keep],
  ['pixels that are not square', ['-vf', 'setsar=4/3'], keep],
  ['turned by 90°', [], (file) => turn(file, [0, 1, -1, 0])],
  ['turned by 180°', [], (file) => turn(file, [-1, 0, 0, -1])],
  ['turned by 270°', [], (file) => turn(file, [0, -1, 1, 0])],
  ['mirrored', [], (file) => turn(file, [-1, 0, 0, 1])],
  ['an edit list that begins later', [], (file) => edit(file, { startAfter: 2 })],
  ['an edit list that ends earlier', [], (file) => edit(file, { frames: 4 })],
])('ffmpeg decodes equal frames: %s', async (name, options, change) => {
  const path = at(`${name.replace(/\W/g, '-')}.mp4`);
  ffmpeg(
    '-i',
    at('original', '%02d.png'),
    '-crf',
    '10',
    '-pix_fmt',
    'yuv420p',
    ...options,
    '-movflags',
    '+write_colr',
    path,
  );
  rewrite(path, change);
  const raw = execFileSync('ffmpeg', [
    '-v',
    'error',
    '-i',
    path,
    '-fps_mode',
    'passthrough',
    '-pix_fmt',
    'rgb24',
    '-f',
    'rawvideo',
    '-',
  ]);
  const clip = await openClip(path);
  const ours: Uint8Array[] = [];
  for await (const frame of clip.frames()) {
    ours.push(frame);
  }
  const bytes = clip.width * clip.height * 3;
  expect({ frames: ours.length, announced: clip.frameCount, bytes: ours[0]!.length }).toEqual({
    frames: raw.length / bytes,
    announced: raw.length / bytes,
    bytes,
  });
  const squared = ours.map((frame, index) => meanSquare(frame, raw.subarray(index * bytes, (index + 1) * bytes)));
  // Of levels: ffmpeg rounds some conversions down.
  expect(Math.max(...squared)).toBeLessThan(3);
});

withFfmpeg.each([
  ['rgb', ['-c:v', 'libx264rgb', '-pix_fmt', 'rgb24'], keep, 'colour matrix rgb) cannot be converted to RGB'],
  ['motion-jpeg', ['-c:v', 'mjpeg', '-pix_fmt', 'yuvj420p'], keep, 'its codec (jpeg) cannot be decoded'],
])('a video that cannot be read: %s', async (name, options, change, reason) => {
  const path = at(`${name}.mov`);
  ffmpeg('-i', at('original', '%02d.png'), '-pix_fmt', 'yuv420p', ...options, path);
  rewrite(path, change);
  const { code, stderr } = await callCli(compare(`${name}.mov`, `${name}.mov`));
  expect(code).toBe(2);
  expect(stderr).toContain(`${path} must be a readable video or picture (`);
  expect(stderr).toContain(reason);
});

/** Writes a, b, c and d of the track's matrix. */
function rewrite(path: string, change: (file: Buffer) => void): void {
  const file = readFileSync(path);
  change(file);
  writeFileSync(path, file);
}

function turn(file: Buffer, matrix: number[]): void {
  const at = file.indexOf('tkhd') + 4 + 40;
  for (const [index, place] of [0, 4, 12, 16].entries()) {
    file.writeInt32BE(matrix[index]! * 65_536, at + place);
  }
}

/** Changes the edit list, of one part and in whole frames. */
function edit(file: Buffer, { startAfter = 0, frames: shown = frames }): void {
  const list = file.indexOf('elst') + 4;
  const scale = file.readUInt32BE(file.indexOf('mdhd') + 4 + 12);
  file.writeUInt32BE((shown * 1000) / 10, list + 8);
  file.writeUInt32BE(file.readUInt32BE(list + 12) + (startAfter * scale) / 10, list + 12);
}

function meanSquare(ours: Uint8Array, theirs: Uint8Array): number {
  return ours.reduce((sum, value, index) => sum + (value - theirs[index]!) ** 2, 0) / ours.length;
}

function compare(reference: string, candidate: string): string[] {
  return ['evaluate', 'pairs', at(reference), at(candidate), '--json', '--output', at('pairs.png')];
}

/** Of each frame. */
async function figures(reference: string, candidate: string): Promise<{ psnr: number; ssim: number }[]> {
  const { stdout } = await callCli(compare(reference, candidate));
  return JSON.parse(stdout).videos[0].frames;
}

/** What a filter says of each frame. */
function filter(name: 'psnr' | 'ssim', reference: string, candidate: string): string[] {
  const inputs = [candidate, reference].flatMap((each) => ['-i', at(each, '%02d.png')]);
  ffmpeg(...inputs, '-lavfi', `${name}=stats_file=${at(`${name}.log`)}`, '-f', 'null', '-');
  return readFileSync(at(`${name}.log`), 'utf8')
    .trim()
    .split('\n');
}

function ffmpeg(...options: string[]): void {
  execFileSync('ffmpeg', ['-v', 'error', '-y', ...options]);
}

function hasFfmpeg(): boolean {
  try {
    execFileSync('ffmpeg', ['-version'], { stdio: 'ignore' });
    return true;
  } catch {
    return false;
  }
}
