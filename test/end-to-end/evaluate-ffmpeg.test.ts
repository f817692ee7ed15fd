import { execFileSync } from 'node:child_process';
import { mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, expect, test } from '@jest/globals';
import { temporaryFolder } from '../../services/kit/testing/temporary-folder.ts';
import { scopeOfAllTests } from '../../services/kit/testing/test-scope.ts';
import { callCli } from '../support/cli.ts';

const folder = temporaryFolder(scopeOfAllTests());
const at = (...names: string[]) => join(folder, ...names);
const withFfmpeg = hasFfmpeg() ? test : test.skip;
const frames = 6;

beforeAll(() => {
  if (!hasFfmpeg()) {
    process.stderr.write('ffmpeg is not installed: its filters are not compared with `evaluate pairs`\n');
    return;
  }
  for (const name of ['original', 'decoded']) {
    mkdirSync(at(name));
  }
  ffmpeg('-f', 'lavfi', '-i', 'testsrc2=size=160x120:rate=10', '-frames:v', String(frames), at('original', '%02d.png'));
  ffmpeg('-i', at('original', '%02d.png'), '-pix_fmt', 'yuv420p', '-crf', '30', at('video.mp4'));
  ffmpeg('-i', at('video.mp4'), at('decoded', '%02d.png'));
});

withFfmpeg("PSNR is that of ffmpeg's filter, SSIM near its own with another window", async () => {
  const { stdout } = await callCli(compare('original', 'decoded'));
  const [video] = JSON.parse(stdout).videos as { frames: { psnr: number; ssim: number }[] }[];
  const psnr = filter('psnr').map((line) => Number(/psnr_avg:([\d.]+)/.exec(line)![1]));
  const ssim = filter('ssim').map((line) => Number(/All:([\d.]+)/.exec(line)![1]));
  expect(video!.frames).toHaveLength(frames);
  for (const [index, frame] of video!.frames.entries()) {
    expect(Math.abs(frame.psnr - psnr[index]!)).toBeLessThan(0.0051);
    expect(Math.abs(frame.ssim - ssim[index]!)).toBeLessThan(0.1);
  }
});

withFfmpeg('a video of ffmpeg is decoded as ffmpeg decodes it', async () => {
  const { stdout } = await callCli(compare('decoded', 'video.mp4'));
  expect(JSON.parse(stdout).mean.mse).toBeLessThan(1e-5);
});

function compare(reference: string, candidate: string): string[] {
  return ['evaluate', 'pairs', at(reference), at(candidate), '--json', '--output', at('pairs.png')];
}

/** What a filter says of each frame. */
function filter(name: 'psnr' | 'ssim'): string[] {
  const inputs = ['decoded', 'original'].flatMap((each) => ['-i', at(each, '%02d.png')]);
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
