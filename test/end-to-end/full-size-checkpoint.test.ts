import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readdir, readFile, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { afterEach, beforeEach, expect, test } from '@jest/globals';
import { packageRoot } from '../../services/kit/package-root.ts';
import { loadPreset } from '../../services/pipeline/preset.ts';
import { writeSparseFiles } from '../support/sparse-files.ts';

// The first matrix of 1536 × 1536 lies in the file column after column, so it has to be written anew.
const transposed = ['feature_pooling.attention.to_query.weight'];
// Not resourceUsage().maxRSS, in which Linux counts the memory of the process that forked this one.
const atExit = `import { readFileSync } from 'node:fs';
  process.on('exit', () => console.error('peak', /VmHWM:\\s+(\\d+)/.exec(readFileSync('/proc/self/status', 'utf8'))[1]))`;

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'fusionframes-full-size-'));
});
afterEach(() => rm(folder, { recursive: true }));

const onLinux = process.platform === 'linux' ? test : test.skip;

const decoders = {
  'kandinsky-video-1.0': /movq_decoder: built in .* \(161 M parameters/,
  'kandinsky-video-1.0-temporal-decoder': /movq_decoder: built in .* \(557 M parameters/,
};

onLinux.each(Object.entries(decoders))(
  '%s at its full size: in less than 1 GB of memory, in place',
  async (preset, decoder) => {
    await writeSparseFiles(loadPreset(preset), join(folder, 'files'), transposed);
    const command = ['models', 'build', preset, '--checkpoint', join(folder, 'files'), '--link'];
    const main = join(packageRoot, 'dist', 'cli', 'main.js');
    const child = spawn(
      process.execPath,
      [
        '--import',
        `data:text/javascript,${encodeURIComponent(atExit)}`,
        main,
        ...command,
        '--output',
        join(folder, 'repository'),
      ],
      { env: { ...process.env, NODE_OPTIONS: '' }, stdio: ['ignore', 'pipe', 'pipe'] },
    );
    const [stdout, stderr, [code]] = await Promise.all([text(child.stdout), text(child.stderr), once(child, 'close')]);
    expect({ code, stderr: stderr.replace(/peak \d+\n/, '') }).toEqual({ code: 0, stderr: '' });
    expect(stdout).toMatch(/text_encoder: built in .* \(8\.74 B parameters, 17\.5 GB, trained weights\)/);
    expect(stdout).toMatch(/keyframe_unet: built in .* \(4\.14 B parameters, 8\.29 GB, trained weights\)/);
    expect(stdout).toMatch(decoder);
    // KiB.
    expect(Number(/peak (\d+)/.exec(stderr)?.[1])).toBeLessThan(1e9 / 1024);

    const version = join(folder, 'repository', 'keyframe_unet', '1');
    expect((await readdir(version)).sort()).toEqual(['kandinsky_video.pt', 'model.onnx', 'weights.safetensors']);
    expect((await stat(join(version, 'kandinsky_video.pt'))).size).toBeGreaterThan(8e9);
    const header = (await readFile(join(version, 'weights.safetensors'))).subarray(8, 200).toString('latin1');
    expect(header).toContain(transposed[0]);
  },
);
