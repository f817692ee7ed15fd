import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, jest, test } from '@jest/globals';
import { packageRoot } from '../services/kit/package-root.ts';
import { temporaryFolder } from '../services/kit/testing/temporary-folder.ts';
import { scopeOfEachTest } from '../services/kit/testing/test-scope.ts';
import { modelsCommand } from './models.ts';
import { formatBytes, formatCount, formatFlops } from './units.ts';

const goldens = join(packageRoot, 'test', 'fixtures', 'goldens');

const scope = scopeOfEachTest();
let printed: string;
beforeEach(() => {
  printed = '';
  jest.spyOn(process.stdout, 'write').mockImplementation((text) => {
    printed += text;
    return true;
  });
});
afterEach(() => {
  jest.restoreAllMocks();
  process.exitCode = undefined;
});

const models = (...args: string[]) => modelsCommand().parseAsync(args, { from: 'user' });

test('list shows every preset with its size, frames, parameters and weights', async () => {
  await models('list');
  const lines = printed.split('\n');
  expect(lines[0]).toMatch(/^preset +size +frames +parameters +weights$/);
  expect(lines[1]).toMatch(/^kandinsky-video-1\.0 +512×512 +15, 57, 225 +16\.9 B +missing$/);
  expect(lines[2]).toMatch(/^kandinsky-video-1\.0-temporal-decoder +512×512 +15, 57, 225 +17\.3 B +missing$/);
  expect(lines[4]).toMatch(/^nano +128×128 +15, 57, 225 +10\.\d+ M +(trained|random)/);
});

test('build reports each model and the repository folder', async () => {
  const folder = temporaryFolder(scope);
  const warned = jest.spyOn(process.stderr, 'write').mockReturnValue(true);
  try {
    await models('build', 'nano', '--output', folder);
    expect(printed).toMatch(/^text_encoder: built in [\d.]+ s \([\d.]+ k parameters, [\d.]+ MB, \w+ weights\)\n/);
    expect(printed.endsWith(`${folder}\n`)).toBe(true);
    printed = '';
    await models('build', 'nano', '--output', folder);
    expect(printed.match(/up to date/g)).toHaveLength(5);
  } finally {
    warned.mockRestore();
  }
});

test.each(['float8', 'decoder=float16', 'movq_decoder=', 'a=b=float16'])(
  'a precision of %s is refused',
  async (given) => {
    await expect(models('build', 'nano', '--target', 'tensorrt', '--precision', given)).rejects.toThrow(
      new RegExp(
        `^.--precision. must be float16, bfloat16 or float32, for all models or as model=precision for one of text_encoder, .* \\(got "${given}"\\)$`,
      ),
    );
  },
);

test('only TensorRT takes a precision and GPUs', async () => {
  await expect(models('build', 'nano', '--precision', 'float16')).rejects.toThrow(
    '`--target` must be tensorrt with --precision: ONNX Runtime computes in float32 (got "onnxruntime")',
  );
  await expect(models('build', 'nano', '--gpu-per-stage')).rejects.toThrow(
    '`--target` must be tensorrt with --gpu-per-stage: only engines are planned for GPUs (got "onnxruntime")',
  );
});

test('Ctrl-C ends a build with 130 and leaves only complete models', async () => {
  const folder = temporaryFolder(scope);
  const told = jest.spyOn(process.stderr, 'write').mockReturnValue(true);
  jest.spyOn(process.stdout, 'write').mockImplementation((text) => {
    if (String(text).startsWith('text_encoder: built')) {
      process.emit('SIGINT');
    }
    return true;
  });
  try {
    await models('build', 'nano', '--output', folder);
    expect(process.exitCode).toBe(130);
    expect(told).toHaveBeenCalledWith(expect.stringContaining('interrupted'));
    expect((await readdir(folder)).sort()).toEqual(['.hashes.json', 'text_encoder']);
  } finally {
    process.removeAllListeners('SIGINT');
  }
});

test('describe reports the cost of networks and videos', async () => {
  await models('describe', 'nano');
  expect(printed).toMatch(/^nano: .*nothing was run or measured\.\n/);
  expect(printed).toMatch(/^keyframe_unet +7\.66 M +30\.6 MB +15\.3 MB$/m);
  expect(printed).toMatch(/^movq_decoder +float32 +2\.\d+ MB +[\d.]+ MB +2\.\d+ MB$/m);
  expect(printed).toMatch(/^all +10\.5 M +41\.9 MB +20\.9 MB$/m);
  expect(printed).toMatch(/^keyframe_unet +\[1,15,4,16,16\] +7 +7 +7 +10\.4 GFLOP +[\d.]+ MB +[\d.]+ MB$/m);
  expect(printed).toMatch(/^movq_decoder +\[2,4,16,16\] +7 +28 +112 +4\.01 GFLOP/m);
  expect(printed).toMatch(/^128×128 +medium +57 +192 GFLOP +[\d.]+ MB +[\d.]+ MB$/m);
});

test('describe --json prints one object', async () => {
  await models('describe', 'nano', '--json');
  const { preset, networks, videos } = JSON.parse(printed);
  expect(preset).toBe('nano');
  expect(networks).toHaveLength(5);
  expect(videos.map(({ frames }: { frames: number }) => frames)).toEqual([15, 57, 225]);
});

test('describe lists the available presets', async () => {
  await expect(models('describe', 'mega')).rejects.toThrow(/`preset` must be one of kandinsky-video-1\.0, .*nano/);
});

test('verify prints a table and ends well within the tolerance', async () => {
  await models('verify', join(goldens, 'nano-movq'));
  expect(printed).toMatch(
    /^network +output +shape +difference +verdict\nMoVQ encoder +encoded +\[2, 4, 8, 8\] +.*σ +ok\n/,
  );
  expect(process.exitCode).toBeUndefined();
});

test('verify beyond the tolerance ends with 1', async () => {
  await models('verify', join(goldens, 'nano-movq'), '--tolerance', '1e-9');
  expect(printed).toContain('DIFFERS');
  expect(process.exitCode).toBe(1);
});

test('verify --json prints one object', async () => {
  await models('verify', join(goldens, 'movq-image-decoder'), '--intermediates', '--json');
  const { passed, outputs } = JSON.parse(printed);
  expect(passed).toBe(true);
  expect(outputs.map(({ name }: { name: string }) => name)).toContain('mid.decoder.conv_in');
});

test.each(['0', '-1', 'small'])('a tolerance of %s is refused', async (tolerance) => {
  await expect(models('verify', goldens, `--tolerance=${tolerance}`)).rejects.toThrow(
    `\`--tolerance\` must be a number above 0 (got "${tolerance}")`,
  );
});

test.each([
  [['--address', 'nowhere'], '`--address` must be'],
  [['--address', '127.0.0.1:8001', '--intermediates'], '`--intermediates` must be left out with --address'],
  [['--address', '127.0.0.1:8001', '--wait', '-1'], '`--wait` must be a number of seconds, 0 or more (got "-1")'],
  [['--gate'], '`--gate` must be with --address: it tells when a server is ready (got no --address)'],
  [['--address', '127.0.0.1:8001', '--gate'], '`FUSIONFRAMES_METRICS_ADDRESS` must be host:port with --gate'],
])('verify %j is refused', async (args, message) => {
  await expect(models('verify', goldens, ...args)).rejects.toThrow(message);
});

test('numbers for people', () => {
  expect([0, 999, 94_912, 4_143_743_108].map(formatCount)).toEqual(['0', '999', '94.9 k', '4.14 B']);
  expect([12, 2_500_000, 29.19e12, 1.66e15].map(formatFlops)).toEqual([
    '12 FLOP',
    '2.5 MFLOP',
    '29.2 TFLOP',
    '1.66 PFLOP',
  ]);
  expect([12, 19_500_000, 8_738_583_040].map(formatBytes)).toEqual(['12 B', '19.5 MB', '8.74 GB']);
});
