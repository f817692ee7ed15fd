import { cp, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, test } from '@jest/globals';
import { packageRoot } from '../../services/kit/package-root.ts';
import { temporaryFolder } from '../../services/kit/testing/temporary-folder.ts';
import { scopeOfEachTest } from '../../services/kit/testing/test-scope.ts';
import { readSafetensors, readTensorBytes } from '../checkpoints/safetensors.ts';
import type { Call } from '../checkpoints/testing/pickle-writer.ts';
import { TorchFile } from '../checkpoints/testing/torch-file.ts';
import { relativePositionBuckets } from '../graphs/relative-position.ts';
import { openGoldenCase } from './golden-case.ts';
import { verifyCase } from './verify-case.ts';

const goldens = join(packageRoot, 'test', 'fixtures', 'goldens');
const scope = scopeOfEachTest();

async function copyOf(name: string): Promise<string> {
  const folder = temporaryFolder(scope);
  await cp(join(goldens, name), folder, { recursive: true });
  return folder;
}

function transpose(bytes: Uint8Array, [rows, columns]: [number, number]): Uint8Array {
  const values = new Float32Array(bytes.slice().buffer);
  const turned = Float32Array.from(values, (_, i) => values[(i % rows) * columns + Math.floor(i / rows)]!);
  return new Uint8Array(turned.buffer);
}

async function editConfig(folder: string, edit: (config: Record<string, never>) => void): Promise<void> {
  const path = join(folder, 'config.json');
  const config = JSON.parse(await readFile(path, 'utf8'));
  edit(config);
  await writeFile(path, JSON.stringify(config));
}

describe('networks reproduce their reference', () => {
  test.each([
    ['keyframe-unet-a', 1, 34],
    ['keyframe-unet-b', 1, 12],
    ['nano-keyframes', 1, 9],
    ['interpolation-unet-a', 1, 10],
    ['interpolation-unet-b', 1, 12],
    ['keyframe-unet-1.1-video-a', 1, 8],
    ['keyframe-unet-1.1-video-b', 1, 7],
    ['keyframe-unet-1.1-image-a', 1, 6],
    ['interpolation-unet-1.1-a', 1, 6],
    ['interpolation-unet-1.1-b', 1, 6],
    ['movq-image-decoder', 3, 11],
    ['nano-movq', 3, 0],
    ['movq-video-image-only', 2, 0],
    ['movq-video-temporal-conv-3x1x1', 1, 0],
    ['movq-video-conv-no-mid', 1, 0],
    ['movq-video-flicker', 1, 0],
    ['movq-video-blocks-and-attention', 1, 7],
    ['movq-video-released-conv-3x3x3-attention', 1, 13],
    ['t5-encoder-gated-gelu', 8, 8],
    ['t5-encoder-gated-silu', 8, 8],
  ])('%s', async (name, outputs, intermediates) => {
    const verified = await verifyCase(join(goldens, name), { intermediates: true });
    expect(verified.filter((each) => !each.isIntermediate)).toHaveLength(outputs);
    expect(verified.filter((each) => each.isIntermediate).length).toBeGreaterThanOrEqual(intermediates);
    for (const { name: output, difference } of verified) {
      expect({ output, withinTolerance: difference !== null && difference <= 2e-4 }).toEqual({
        output,
        withinTolerance: true,
      });
    }
  });

  // Recorded from the training code by training/record_variants.py.
  const ofUNet = ['output', 'mid.down_samples.0', 'mid.up_samples.0'];
  test.each([
    ['keyframe-unet-conv1dattn1dlayers', ofUNet],
    ['keyframe-unet-conv1dattn3dblocks', ofUNet],
    ['keyframe-unet-conv3dattn1dblocks', ofUNet],
    ['interpolation-unet-masked-frames', ofUNet],
    ['interpolation-unet-perturbation', ofUNet],
    ['movq-video-conv-3x3x3', ['decoded']],
    ['movq-video-conv-3x1x1-attention', ['decoded']],
    ['movq-video-3d', ['decoded']],
  ])('%s, as it is trained', async (name, outputs) => {
    const verified = await verifyCase(join(goldens, name), { intermediates: true });
    expect(verified.map(({ name: output }) => output)).toEqual(outputs);
    expect(Math.max(...verified.map(({ difference }) => difference ?? Number.POSITIVE_INFINITY))).toBeLessThan(1e-4);
  });

  test('from a PyTorch file with a matrix stored column after column', async () => {
    const folder = await copyOf('t5-encoder-gated-gelu');
    const { tensors, ...checkpoint } = await readSafetensors(join(folder, 'weights.safetensors'));
    const torch = new TorchFile();
    const calls = new Map<string, Call>();
    for (const [name, { shape }] of tensors) {
      const bytes = await readTensorBytes({ ...checkpoint, tensors }, name);
      const isMatrix = name === 'encoder.block.0.layer.0.SelfAttention.q.weight';
      const storage = torch.storage('F32', isMatrix ? transpose(bytes, shape as [number, number]) : bytes);
      calls.set(name, torch.tensor(storage, shape, isMatrix ? { strides: [1, shape[0]!] } : {}));
    }
    await torch.write(join(folder, 'weights.pt'), calls);
    await rm(join(folder, 'weights.safetensors'));
    const [output] = await verifyCase(folder, { intermediates: false });
    expect(output!.difference).toBeLessThanOrEqual(2e-4);
  });

  test('relative position buckets', async () => {
    const golden = await openGoldenCase(join(goldens, 't5-encoder-gated-gelu'));
    const positions = await golden.tensor('buckets.relative_position');
    const buckets = await golden.tensor('buckets.bucket');
    const table = relativePositionBuckets(32, 128);
    const found = Array.from(
      positions.data as BigInt64Array,
      (position) => table[Math.max(-128, Math.min(128, Number(position))) + 128],
    );
    expect(found).toEqual(Array.from(buckets.data as BigInt64Array, Number));
  });
});

describe('faults are detected', () => {
  test('a wrong parameter moves the output by more than the tolerance', async () => {
    const folder = await copyOf('movq-video-flicker');
    const path = join(folder, 'weights.safetensors');
    const { offset } = (await readSafetensors(path)).tensors.get('decoder.conv_out.bias')!;
    const bytes = await readFile(path);
    bytes.writeFloatLE(bytes.readFloatLE(offset) + 1, offset);
    await writeFile(path, bytes);
    const [output] = await verifyCase(folder, { intermediates: false });
    expect(output!.difference).toBeGreaterThan(0.05);
  });

  test('NaN in a reference is never within tolerance', async () => {
    const folder = await copyOf('movq-video-flicker');
    const path = join(folder, 'io.safetensors');
    const { offset } = (await readSafetensors(path)).tensors.get('decoded')!;
    const bytes = await readFile(path);
    bytes.writeFloatLE(Number.NaN, offset);
    await writeFile(path, bytes);
    const [output] = await verifyCase(folder, { intermediates: false });
    expect(output!.difference).toBe(Number.POSITIVE_INFINITY);
  });

  test('a network of another size names each parameter that does not fit', async () => {
    const folder = await copyOf('keyframe-unet-a');
    await editConfig(folder, (config) => Object.assign(config.constructor as object, { context_dim: 40 }));
    await expect(verifyCase(folder, { intermediates: false })).rejects.toThrow(
      /does not fit[\s\S]*`feature_pooling\.attention\.to_query\.weight` must have shape \[48,40\] \(got \[48,48\]\)/,
    );
  });

  test('constructor arguments that make no network are named', async () => {
    const folder = await copyOf('keyframe-unet-a');
    await editConfig(folder, (config) => Object.assign(config.constructor as object, { groups: -1, num_blocks: [2] }));
    await expect(verifyCase(folder, { intermediates: false })).rejects.toThrow(/`constructor\.groups` must be/);
  });

  test.each([
    ['schedule-tables', /does not describe a network .*services\/diffusion/],
    ['sampler-keyframes-cosine10-null', /does not describe a network .*services\/diffusion/],
    ['no-such-case', /no-such-case.config\.json can't be read \(no such file or directory\)/],
  ])('%s is refused', async (name, message) => {
    await expect(verifyCase(join(goldens, name), { intermediates: false })).rejects.toThrow(message);
  });

  test('temporal arguments in a case of images are named', async () => {
    const folder = await copyOf('movq-image-decoder');
    await editConfig(folder, (config) => Object.assign(config.constructor as object, { temporal: true }));
    await expect(verifyCase(folder, { intermediates: false })).rejects.toThrow(
      /`constructor\.temporal` is not a known field/,
    );
  });

  test('a padding that changes the temporal size is rejected', async () => {
    const folder = await copyOf('movq-video-temporal-conv-3x1x1');
    const edit = (config: object) => Object.assign(config.constructor, { temporal_conv_padding: [1, 1, 1] });
    await editConfig(folder, edit);
    await expect(verifyCase(folder, { intermediates: false })).rejects.toThrow(
      '`constructor.temporal_conv_padding` must keep the size under temporal_kernel_size [3,1,1] (got [1,1,1])',
    );
  });

  test('decoder variants are not mixed', async () => {
    const folder = await copyOf('movq-video-temporal-conv-3x1x1');
    const variants = { temporal_blocks: true, build_3D_decoder: true };
    await editConfig(folder, (config) => Object.assign(config.constructor as object, variants));
    await expect(verifyCase(folder, { intermediates: false })).rejects.toThrow(
      '`constructor.temporal` must be the only decoder variant, of temporal, temporal_blocks, build_3D_decoder (got also temporal_blocks, build_3D_decoder)',
    );
  });

  test('a truncated case is rejected, naming the file', async () => {
    const folder = await copyOf('nano-movq');
    const path = join(folder, 'io.safetensors');
    await writeFile(path, (await readFile(path)).subarray(0, 5000));
    await expect(verifyCase(folder, { intermediates: false })).rejects.toThrow(
      /io\.safetensors is not a valid .*cut short/,
    );
  });
});
