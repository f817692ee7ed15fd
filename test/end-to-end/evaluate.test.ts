import { readdir, readFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { afterAll, describe, expect, test } from '@jest/globals';
import { Status } from 'nice-grpc-common';
import sharp from 'sharp';
import { stopTestServer, type TestData } from '../../gateway/testing/data.ts';
import { withGateway } from '../../gateway/testing/gateway.ts';
import { untilAborted } from '../../gateway/testing/stage-doubles.ts';
import { FusionError } from '../../services/kit/errors.ts';
import { temporaryFolder } from '../../services/kit/testing/temporary-folder.ts';
import { scopeOfAllTests } from '../../services/kit/testing/test-scope.ts';
import { callCli, eventually, startCli } from '../support/cli.ts';

/** Few steps and only keyframes: these tests are about the path from prompts to figures, not about nano. */
const quick = ['--steps', '2', '--fps', 'low'];

interface NamedScore {
  name: string;
  score: { clips: number; right: { all: number }; outlines?: { steadiness: number; sharpness: number } };
  trueOutlines?: { steadiness: number; sharpness: number };
}

const folder = temporaryFolder(scopeOfAllTests());
afterAll(stopTestServer);

test("makes videos, prints their scores and the detector's, and writes the contact sheet", async () => {
  const output = join(folder, 'sheet.png');
  const result = await callCli(['evaluate', 'prompts', '--prompts', '3', '--json', '--output', output, ...quick]);
  expect(result).toMatchObject({ code: 0 });
  const { prompts, scores, warnings } = JSON.parse(result.stdout);
  expect(prompts).toHaveLength(3);
  for (const { prompt, right } of prompts) {
    expect(prompt).toMatch(/^an? (small|large) \w+ \w+ .+ on an? \w+ background$/);
    expect(Object.keys(right)).toEqual(['count', 'background', 'colour', 'size', 'shape', 'motion']);
  }
  expect(scores.map(({ name, score }: NamedScore) => [name, score.clips])).toEqual([
    ['videos of one thing', 3],
    ['detector on drawn truth, one thing', 45],
    ['detector on drawn truth, one small thing', 24],
    ['detector on drawn truth, two things', 19],
  ]);
  const [ofVideos, ...ofTruth] = scores as [NamedScore, ...NamedScore[]];
  for (const outlines of [ofVideos.trueOutlines, ...ofTruth.map(({ score }) => score.outlines)]) {
    expect(outlines!.steadiness).toBeGreaterThan(0.85);
    expect(outlines!.sharpness).toBeGreaterThan(0.5);
  }
  expect(ofTruth.every(({ score }) => score.right.all >= score.clips - 1)).toBe(true);
  expect(warnings).toEqual([]);
  expect(result.stderr).toMatch(/videos: 3\/3/);
  const { width, height } = await sharp(output).metadata();
  expect(width).toBeGreaterThan(800);
  expect(height).toBe(3 * 67);
});

test('Ctrl-C cancels the jobs, leaves no file and ends with 130', () =>
  withGateway(
    async ({ server, data }) => {
      const output = join(folder, 'cancelled.png');
      const cli = startCli(['evaluate', 'prompts', '--address', server.address, '--output', output]);
      await new Promise<void>((resolve) => {
        cli.child.stderr?.on('data', () => cli.stderr().includes('videos: 0/128') && resolve());
      });
      await eventually(async () => (await states(data)).includes('running'));
      cli.child.kill('SIGINT');
      const { code, stderr } = await cli.finished;
      expect(code).toBe(130);
      expect(stderr).toMatch(/cancelled\n$/);
      expect((await readdir(folder)).filter((file) => file.startsWith('cancelled'))).toEqual([]);
      expect(new Set(await states(data))).toEqual(new Set(['cancelled']));
    },
    { hooks: { keyframes: (_, signal) => untilAborted(signal) } },
  ));

test('after a failure, the same command continues', async () => {
  const output = join(folder, 'continued.png');
  const kept = `${output}.results.jsonl`;
  let calls = 0;
  let fails = true;
  const keyframes = async () => {
    // One video is finished before the others fail.
    if (calls++ > 0 && fails) {
      await eventually(async () => (await readdir(folder)).includes(basename(kept)));
      throw new FusionError(Status.INTERNAL, 'the network is broken');
    }
  };
  await withGateway(
    async ({ server }) => {
      const args = ['--prompts', '3', '--address', server.address, '--output', output, '--steps', '1', '--fps', 'low'];
      const run = () => callCli(['evaluate', 'prompts', ...args]);
      expect(await run()).toMatchObject({ code: 1, stderr: expect.stringContaining('the network is broken') });
      expect((await readFile(kept, 'utf8')).trim().split('\n')).toHaveLength(1);
      [fails, calls] = [false, 0];
      expect(await run()).toMatchObject({ code: 0, stderr: expect.stringContaining('videos: 3/3') });
      expect(calls).toBe(2);
      expect((await sharp(output).metadata()).height).toBe(3 * 67);
      expect((await readdir(folder)).filter((name) => name.startsWith('continued'))).toEqual(['continued.png']);
    },
    { hooks: { keyframes } },
  );
});

async function states({ database }: TestData): Promise<string[]> {
  const jobs = await database.sql<{ state: string }[]>`select state from jobs`;
  return jobs.map(({ state }) => state);
}

describe('invalid input is reported in one clear line', () => {
  test.each<[string, string[], number, RegExp]>([
    ['no prompts', ['--prompts', '0'], 2, /`--prompts` must be a whole number from 1 to 10000 \(got "0"\)/],
    ['a seed that is not a number', ['--seed', 'x'], 2, /`--seed` must be .*\(got "x"\)/],
    ['an output of another kind', ['--output', 'sheet.gif'], 2, /`--output` must be .*\.png.*\(got "sheet.gif"\)/],
    [
      'a preset that knows no world',
      ['--preset', 'kandinsky-video-1.0'],
      2,
      /`preset` must be a preset trained on drawn scenes: nano/,
    ],
    ['an unknown preset', ['--preset', 'mega'], 2, /`preset` must be one of .*nano/],
    ['no steps', ['--steps', '0'], 2, /`--steps` must be .*\(got "0"\)/],
    ['a gateway that is down', ['--address', '127.0.0.1:1'], 1, /127\.0\.0\.1:1.*UNAVAILABLE/],
  ])('%s', async (_, args, code, message) => {
    const outputs = args.includes('--output') ? [] : ['--output', join(folder, 'bad.png')];
    const result = await callCli(['evaluate', 'prompts', ...outputs, ...args]);
    expect(result.stderr).toMatch(message);
    expect(result).toMatchObject({ code, stdout: '' });
  });
});
