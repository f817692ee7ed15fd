import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from '@jest/globals';
import { guide, guideByTextAndPicture } from '../../services/diffusion/guidance.ts';
import { levelOfTrainingStep } from '../../services/diffusion/noise-levels.ts';
import { ancestral } from '../../services/diffusion/samplers/ancestral.ts';
import type { SamplerOptions } from '../../services/diffusion/samplers/sampler.ts';
import { framesPerGroup, writeGroupInputs } from '../../services/diffusion/temporal-groups.ts';
import { goldenTensors } from '../../services/diffusion/testing/goldens.ts';
import { packageRoot } from '../../services/kit/package-root.ts';
import { decodeTensorFile } from '../../services/pipeline/safetensors/tensor-file.ts';
import { type Tensor, tensor } from '../../services/pipeline/tensor.ts';
import { CheckpointWeights } from '../../triton-models/checkpoints/checkpoint-weights.ts';
import { readSafetensors } from '../../triton-models/checkpoints/safetensors.ts';
import { Graph } from '../../triton-models/graphs/graph.ts';
import { type ArchitectureName, architectures } from '../../triton-models/networks/architectures.ts';
import type { ModelSession } from '../../triton-models/session/model-session.ts';
import { largestDifference } from '../../triton-models/verify/difference.ts';
import { withModel } from '../../triton-models/verify/temporary-model.ts';

const goldenFile = (name: string, file: string) => join(packageRoot, 'test', 'fixtures', 'goldens', name, file);

/** Runs `use` with a served network of Kandinsky Video 1.1, with the weights of one case and the null embedding of another. */
async function withServed(
  name: ArchitectureName,
  { weights, sampling }: { weights: string; sampling: string },
  use: (session: ModelSession) => Promise<void>,
): Promise<void> {
  const config = JSON.parse(await readFile(goldenFile(weights, 'config.json'), 'utf8'));
  const files = [goldenFile(sampling, 'io.safetensors'), goldenFile(weights, 'weights.safetensors')];
  const parts = await Promise.all(files.map(async (path) => ({ file: await readSafetensors(path) })));
  const graph = new Graph(name, new CheckpointWeights(parts));
  architectures[name]('constructor', config.constructor).build(graph);
  await withModel(graph, files, use);
}

type Golden = Map<string, Tensor<'float32'>>;

/**
 * Takes every step of a case from its published latents, since guidance magnifies differences from step to step; every
 * prediction and the latents after every step must be the published ones.
 */
async function expectPublishedRun(
  golden: Golden,
  options: SamplerOptions,
  predict: (latents: Float32Array, timestep: number) => Promise<Float32Array>,
): Promise<void> {
  const sampler = ancestral(options);
  let latents = golden.get('noise_initial')!.data as Float32Array;
  const differences: number[] = [];
  for (let step = 0; step < sampler.steps; step++) {
    const at = (name: string) => golden.get(`${name}.${String(step).padStart(3, '0')}`)!;
    const prediction = await predict(latents, sampler.timestep(step));
    const next = sampler.step(step, { latents, history: undefined }, prediction, () => at('noise').data);
    for (const [name, data] of Object.entries({ model_output: prediction, latents: next.latents })) {
      differences.push(largestDifference({ ...at(name), data: data as Float32Array<ArrayBuffer> }, at(name)));
    }
    latents = at('latents').data;
  }
  expect(Math.max(...differences)).toBeLessThan(1e-3);
}

/** The text of a case for so many items, all but the first without. */
async function textInputs(name: string, golden: Golden, items: number) {
  const { shape, data } = golden.get('context')!;
  const [, tokens = 0, size = 0] = shape;
  const file = decodeTensorFile(await readFile(goldenFile(name, 'io.safetensors')));
  const mask = Uint8Array.from(file.get('context_mask')!.data as BigInt64Array, Number);
  return {
    context: tensor('float32', [items, tokens, size], repeat(data, items)),
    context_mask: tensor(
      'bool',
      [items, tokens],
      Uint8Array.from({ length: items * tokens }, (_, i) => mask[i % tokens]!),
    ),
    unconditional: tensor(
      'bool',
      [items, 1],
      Uint8Array.from({ length: items }, (_, item) => Number(item > 0)),
    ),
  };
}

const schedule = 'cosine-zero-snr';

test("Kandinsky Video 1.1's keyframes are sampled as published", async () => {
  const name = 'sampler-1.1-keyframes-10';
  const golden = await goldenTensors(name);
  const data = (key: string) => golden.get(key)!.data;
  const [motion, augmentation] = [50, 20];
  const { alpha, sigma } = levelOfTrainingStep(schedule, augmentation);
  const firstFrame = data('first_frame').map((value, i) => alpha * value + sigma * data('augmentation_noise')[i]!);
  expect(
    largestDifference({ ...golden.get('first_frame')!, data: firstFrame }, golden.get('first_frame_noised')!),
  ).toBeLessThan(1e-5);

  const conditions = {
    ...(await textInputs(name, golden, 3)),
    first_frame: tensor('float32', [3, 4, 8, 8], repeat(firstFrame, 3)),
    has_first_frame: tensor('bool', [3, 1], Uint8Array.of(1, 1, 0)),
    noise_augmentation: numbers(augmentation, 3),
    motion_score: numbers(motion, 3),
  };
  const options = {
    schedule,
    steps: 10,
    spacing: 'leading',
    prediction: 'epsilon',
    threshold: { itemSize: 256 },
  } as const;
  await withServed('keyframeUNet11', { weights: 'keyframe-unet-1.1-video-a', sampling: name }, (session) =>
    expectPublishedRun(golden, options, async (latents, timestep) => {
      const noisy = tensor('float32', [3, 4, 4, 8, 8], repeat(latents, 3));
      const { prediction } = await session.run({ latents: noisy, timestep: numbers(timestep, 3), ...conditions });
      const third = (i: number) =>
        (prediction!.data as Float32Array).subarray(i * latents.length, (i + 1) * latents.length);
      return guideByTextAndPicture([third(0), third(1), third(2)], { text: 5, image: 3 });
    }),
  );
});

test("Kandinsky Video 1.1's interpolation is sampled as published", async () => {
  const name = 'sampler-1.1-interpolation-10';
  const golden = await goldenTensors(name);
  const [groups, frameSize] = [5, 256];
  const conditions = {
    ...(await textInputs(name, golden, 2)),
    skip: tensor('int64', [2, 1], BigInt64Array.of(3n, 3n)),
  };
  const threshold = { itemSize: framesPerGroup * frameSize };
  const options = { schedule, steps: 10, spacing: 'trailing', prediction: 'v', threshold } as const;
  await withServed('interpolationUNet11', { weights: 'interpolation-unet-1.1-a', sampling: name }, (session) =>
    expectPublishedRun(golden, options, async (latents, timestep) => {
      const length = groups * (framesPerGroup + 2) * frameSize;
      const input = new Float32Array(2 * length);
      writeGroupInputs(latents, golden.get('key_frames')!.data, frameSize, input.subarray(0, length));
      writeGroupInputs(latents, undefined, frameSize, input.subarray(length));
      const noisy = tensor('float32', [2, groups, 20, 8, 8], input);
      const { prediction } = await session.run({ latents: noisy, timestep: numbers(timestep, 2), ...conditions });
      const data = prediction!.data as Float32Array;
      return guide(data.subarray(0, latents.length), data.subarray(latents.length), 0.5);
    }),
  );
});

const numbers = (value: number, count: number) => tensor('float32', [count, 1], new Float32Array(count).fill(value));

function repeat(values: Float32Array, times: number): Float32Array<ArrayBuffer> {
  const repeated = new Float32Array(values.length * times);
  for (let i = 0; i < times; i++) {
    repeated.set(values, i * values.length);
  }
  return repeated;
}
