import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, readdir, readFile, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { beforeEach, expect, test } from '@jest/globals';
import { packageRoot } from '../../services/kit/package-root.ts';
import { temporaryFolder } from '../../services/kit/testing/temporary-folder.ts';
import { scopeOfEachTest } from '../../services/kit/testing/test-scope.ts';
import { loadPreset, type Preset } from '../../services/pipeline/preset.ts';
import { narrowUNet } from '../../services/pipeline/testing.ts';
import { PullRecord } from '../../triton-models/checkpoints/pull-record.ts';
import { presetSources } from '../../triton-models/sources/preset-sources.ts';
import { writeSparseDecoder, writeSparseFiles } from '../support/sparse-files.ts';

// The first matrix of 1536 × 1536 lies in the file column after column, so it must be rewritten.
const transposed = ['feature_pooling.attention.to_query.weight'];
// Not resourceUsage().maxRSS, in which Linux counts the memory of the process that forked this one.
const atExit = `import { readFileSync } from 'node:fs';
  process.on('exit', () => console.error('peak', /VmHWM:\\s+(\\d+)/.exec(readFileSync('/proc/self/status', 'utf8'))[1]))`;

const scope = scopeOfEachTest();
let folder: string;
beforeEach(() => {
  folder = temporaryFolder(scope);
});

const onLinux = process.platform === 'linux' ? test : test.skip;

onLinux('checkpoints of many gigabytes are built in place, in less than 1 GB of memory', async () => {
  const imageDecoder = await shorten('kandinsky-video-1.0');
  const temporalDecoder = await shorten('kandinsky-video-1.0-temporal-decoder');
  await writeSparseFiles(imageDecoder, join(folder, 'files'), transposed);
  await writeSparseDecoder(temporalDecoder, join(folder, 'files'));
  await recordAsPulled(join(folder, 'files'));

  const first = await build(imageDecoder);
  expect(first).toMatch(/text_encoder: built in .* \(685 M parameters, 1\.37 GB, trained weights\)/);
  expect(first).toMatch(/keyframe_unet: built in .* \(2\.99 B parameters, 5\.97 GB, trained weights\)/);
  expect(first).toMatch(/movq_decoder: built in .* \(161 M parameters/);
  const version = join(folder, 'repository', 'keyframe_unet', '1');
  expect((await readdir(version)).sort()).toEqual(['kandinsky_video.pt', 'model.onnx', 'weights.safetensors']);
  expect((await stat(join(version, 'kandinsky_video.pt'))).size).toBeGreaterThan(5.9e9);
  const header = (await readFile(join(version, 'weights.safetensors'))).subarray(8, 200).toString('latin1');
  expect(header).toContain(transposed[0]);

  // The other networks are the same.
  const second = await build(temporalDecoder);
  expect(second.match(/built in/g)).toHaveLength(1);
  expect(second).toMatch(/movq_decoder: built in .* \(557 M parameters/);
});

/**
 * A published preset, with its sources, in `folder`: with fewer layers and a narrow interpolation network, because every byte is
 * read. The keyframe network's file stays beyond 4 GiB, where offsets need 64 bits.
 */
async function shorten(name: string): Promise<Preset> {
  const published = loadPreset(name);
  const { folder: _, textEncoder, keyframes, interpolation, ...others } = published;
  const preset = {
    ...others,
    textEncoder: { ...textEncoder, network: { ...textEncoder.network, num_layers: 2 } },
    keyframes: { ...keyframes, network: { ...keyframes.network, num_blocks: [2, 2, 2, 2] } },
    interpolation: { ...interpolation, network: { ...interpolation.network, ...narrowUNet } },
  };
  for (const [kind, content] of Object.entries({ presets: preset, sources: presetSources(published) })) {
    await mkdir(join(folder, kind), { recursive: true });
    await writeFile(join(folder, kind, `${name}.json`), JSON.stringify(content));
  }
  return loadPreset(join(folder, 'presets', `${name}.json`));
}

/** As `pull` leaves files: theirs are linked, and their hashes are known. */
async function recordAsPulled(files: string): Promise<void> {
  const record = await PullRecord.read(files);
  const names = (await readdir(files, { recursive: true })).filter((name) => /\.(pt|bin)$/.test(name));
  for (const name of names) {
    await record.add(name, undefined, '0'.repeat(64));
  }
}

/** Builds a preset's repository in a process of its own, which must take less than 1 GB of memory; returns its output. */
async function build({ name }: Preset): Promise<string> {
  const preset = join(folder, 'presets', `${name}.json`);
  const paths = ['--checkpoint', join(folder, 'files'), '--output', join(folder, 'repository')];
  const child = spawn(
    process.execPath,
    [
      '--import',
      `data:text/javascript,${encodeURIComponent(atExit)}`,
      join(packageRoot, 'dist', 'cli', 'main.js'),
      ...['models', 'build', preset, ...paths],
    ],
    { env: { ...process.env, NODE_OPTIONS: '' }, stdio: ['ignore', 'pipe', 'pipe'] },
  );
  const [stdout, stderr, [code]] = await Promise.all([text(child.stdout), text(child.stderr), once(child, 'close')]);
  expect({ code, stderr: stderr.replace(/peak \d+\n/, '') }).toEqual({ code: 0, stderr: '' });
  // KiB.
  expect(Number(/peak (\d+)/.exec(stderr)?.[1])).toBeLessThan(1e9 / 1024);
  return stdout;
}
