import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, test } from '@jest/globals';
import { temporaryFolder } from '../services/kit/testing/temporary-folder.ts';
import { scopeOfAllTests } from '../services/kit/testing/test-scope.ts';
import { modelNames } from '../services/pipeline/preset.ts';
import { awaitEachStage } from '../services/pipeline/stages.ts';
import { startBackend } from '../test/support/backend.ts';
import { callCli, startService } from '../test/support/cli.ts';
import { stageEnvironment } from '../test/support/stage-environment.ts';
import { tinyPresetEnvironment } from '../test/support/tiny-preset.ts';
import { stageServices } from './stages.ts';

const batches = (seconds: number) => ({ batches: [{ items: 1, seconds }], maxBatchSize: 8 });
const measured = {
  preset: 'nano',
  video: { width: 128, height: 128, frameRate: 'medium' },
  models: Object.fromEntries(Object.values(modelNames).map((name) => [name, batches(0.1)])),
};

const scope = scopeOfAllTests();
const folder = temporaryFolder(scope);

async function planOf(content: unknown, ...options: string[]) {
  const file = join(folder, 'measured.json');
  await writeFile(file, JSON.stringify(content));
  return await callCli(['plan', '--measured', file, ...options]);
}

test('the plan follows measured times: steps of one item at 0.1 s', async () => {
  const { code, stdout } = await planOf(measured, '--rate', '60', '--json');
  expect(code).toBe(0);
  const plan = JSON.parse(stdout);
  const alone = Object.fromEntries(
    plan.stages.map((each: { stage: string; aloneSeconds: number }) => [each.stage, each.aloneSeconds]),
  );
  expect(alone).toMatchObject({ 'text-encoder': 0.1, keyframes: expect.closeTo(7 * 0.1) });
  expect(plan).toMatchObject({ preset: 'nano', videosPerHour: 60, bottleneck: expect.any(String) });
  expect(plan.p95Seconds).toBeLessThanOrEqual(2 * plan.aloneSeconds);
});

test('the default output is a table', async () => {
  const { code, stdout } = await callCli(['plan', '--preset', 'kandinsky-video-1.0', '--rate', '60']);
  expect(code).toBe(0);
  expect(stdout).toContain('60 videos an hour of kandinsky-video-1.0: 512×512, 57 frames; not measured: ');
  expect(stdout).toMatch(/^keyframes +\d+ +\d+ %/m);
  expect(stdout).toMatch(/^Backends in all: \d+\. Bottleneck: \S+\.$/m);
});

describe('bad input', () => {
  test.each([
    [['--rate', '0'], '`--rate` must be a number above 0 (got "0")'],
    [['--rate', '60', '--p95', 'soon'], '`--p95` must be a number above 0 (got "soon")'],
    [['--rate', '60', '--teraflops', '-1'], '(got "-1")'],
    [['--rate', '60', '--preset', 'none'], '(got "none")'],
    [['--rate', '60', '--measured', '/no/such/file'], '(got "/no/such/file")'],
  ])('%j', async (options, message) => {
    const { code, stderr } = await callCli(['plan', ...options]);
    expect(stderr).toContain(message);
    expect(code).toBe(2);
  });

  test.each([
    [{ ...measured, preset: 'kandinsky-video-1.0' }, 'must hold measurements of nano (got kandinsky-video-1.0)'],
    [{ ...measured, models: {} }, 'holds no measurements: `models.text_encoder` must be an object (got nothing)'],
    ['nonsense', 'holds no measurements'],
  ])('measurements %#', async (content, message) => {
    const { code, stderr } = await planOf(content, '--rate', '60');
    expect(stderr).toContain(message);
    expect(code).toBe(1);
  });
});

test("an inference server's own statistics are what is measured", async () => {
  const backend = await startBackend();
  try {
    const fresh = await callCli(['models', 'measure', backend.inferenceAddress], tinyPresetEnvironment);
    expect(fresh).toMatchObject({ code: 1, stderr: expect.stringContaining('text_encoder at') });
    expect(fresh.stderr).toContain('has not run since it was loaded; make a few videos first (FAILED_PRECONDITION)');
    const addresses = await awaitEachStage((name) => backend.start(stageServices[name]));
    const environment = { ...tinyPresetEnvironment, ...stageEnvironment(addresses) };
    const gateway = scope.add(await startService('gateway', environment));
    const output = join(folder, 'video.mp4');
    // As many steps as the plan assumes for a video: the time outside the backends follows from them.
    const generate = ['generate', 'a red circle', '--address', gateway.address, '-o', output, '--json'];
    const made = await callCli(generate);
    expect(made.code).toBe(0);
    const file = join(folder, 'tiny.json');
    const measure = ['models', 'measure', backend.inferenceAddress, '-o', file, '--video', JSON.parse(made.stdout).id];
    expect((await callCli(measure, tinyPresetEnvironment)).stderr).toContain('(got nothing)');
    expect(await callCli([...measure, '--address', gateway.address], tinyPresetEnvironment)).toMatchObject({ code: 0 });
    await gateway.stop();
    const { models } = JSON.parse(await readFile(file, 'utf8'));
    expect(models.keyframe_unet).toMatchObject({
      maxBatchSize: 2,
      batches: [{ items: 2, seconds: expect.any(Number) }],
      outsideSeconds: expect.any(Number),
    });
    expect(models.movq_decoder.outsideSeconds).toBeGreaterThanOrEqual(0);
    expect((await callCli(['plan', '--rate', '60', '--measured', file], tinyPresetEnvironment)).code).toBe(0);
  } finally {
    await backend.stop();
  }
});
