import { afterAll, beforeAll, expect, test } from '@jest/globals';
import {
  InterpolateParameters,
  InterpolationServiceDefinition,
} from '../../proto/gen/fusionframes/v1/interpolation.ts';
import { KeyframesServiceDefinition } from '../../proto/gen/fusionframes/v1/keyframes.ts';
import { Sampler } from '../../proto/gen/fusionframes/v1/tensor.ts';
import { combine } from '../../services/diffusion/combine.ts';
import { noisePurpose, normalNoise } from '../../services/diffusion/noise.ts';
import { levelOfTrainingStep } from '../../services/diffusion/noise-levels.ts';
import { interpolationStage } from '../../services/interpolation/interpolation-stage.ts';
import { receiveTask } from '../../services/interpolation/interpolation-task.ts';
import { keyframesStage } from '../../services/keyframes/keyframes-stage.ts';
import { type ConnectedClient, connect } from '../../services/kit/channel.ts';
import { Scope } from '../../services/kit/scope.ts';
import { loadPreset } from '../../services/pipeline/preset.ts';
import { tensor } from '../../services/pipeline/tensor.ts';
import { chunkBytes, toChunks } from '../../services/pipeline/tensor-chunks.ts';
import { startBackend } from '../support/backend.ts';
import { encodeKeyframes } from '../support/encode-keyframes.ts';
import { interpolate } from '../support/interpolate.ts';
import { tinyPreset } from '../support/tiny-preset.ts';

const scope = new Scope();
let client: ConnectedClient<InterpolationServiceDefinition>;
let keyframes: ConnectedClient<KeyframesServiceDefinition>;
beforeAll(async () => {
  const { interpolation, ...tiny } = loadPreset(tinyPreset);
  const masked = { num_channels: 9, out_channels: 4, sequence_frames: 5 as const, perturbation_input: true };
  const network = { ...interpolation.network, ...masked };
  const backend = await startBackend({ ...tiny, interpolation: { ...interpolation, network } });
  scope.add({ close: () => backend.stop() });
  client = scope.add(connect(InterpolationServiceDefinition, await backend.start(interpolationStage))).client;
  keyframes = scope.add(connect(KeyframesServiceDefinition, await backend.start(keyframesStage))).client;
});
afterAll(() => scope.close());

test('masked frames answer the contract of the interpolation stage, over two passes', async () => {
  const sampling = { sampler: Sampler.SAMPLER_UNSPECIFIED, steps: 2, guidanceScale: 0.25 };
  const frameSize = 4 * 8 * 8;
  const given = tensor('float32', [7, 4, 8, 8], normalNoise({ seed: 3n, purpose: 99, draw: 0 }, 0, 7 * frameSize));
  // 2·6 sequences: more than go into a request.
  const first = await interpolate(client, given, { sampling });
  expect(first.shape).toEqual([25, 4, 8, 8]);
  expect(first.data.every(Number.isFinite)).toBe(true);
  for (let frame = 0; frame < 7; frame++) {
    const kept = first.data.slice(4 * frame * frameSize, (4 * frame + 1) * frameSize);
    expect(kept).toEqual(given.data.slice(frame * frameSize, (frame + 1) * frameSize));
  }
  expect(new Set(first.data.slice(frameSize, 2 * frameSize)).size).toBeGreaterThan(100);
  const second = await interpolate(client, first, { pass: 1, sampling });
  expect(second.shape).toEqual([97, 4, 8, 8]);
});

test('the network sees the given frames with noise, and is told how much; the video keeps them as they are', async () => {
  const frameSize = 4 * 8 * 8;
  const frames = (seed: bigint) =>
    tensor('float32', [3, 4, 8, 8], normalNoise({ seed, purpose: 99, draw: 0 }, 0, 3 * frameSize));
  const given = frames(3n);
  const at = (perturbation?: number, latents = given) =>
    interpolate(client, latents, { ...(perturbation !== undefined && { perturbation }) });
  const [clean, noisy] = [await at(), await at(120)];
  expect((await at(0)).data).toEqual(clean.data);
  expect((await at(120)).data).toEqual(noisy.data);
  for (let frame = 0; frame < 3; frame++) {
    const kept = noisy.data.slice(4 * frame * frameSize, (4 * frame + 1) * frameSize);
    expect(kept).toEqual(given.data.slice(frame * frameSize, (frame + 1) * frameSize));
  }
  const { alpha, sigma } = levelOfTrainingStep('cosine', 120);
  const noise = normalNoise({ seed: 7n, purpose: noisePurpose.perturbation[0], draw: 0 }, 0, 3 * frameSize);
  const untold = await at(0, tensor('float32', given.shape, combine(alpha, given.data, sigma, noise)));
  const between = ({ data }: { data: Float32Array }) => data.slice(frameSize, 4 * frameSize);
  expect(between(untold)).not.toEqual(between(clean));
  expect(between(noisy)).not.toEqual(between(untold));
  await expect(at(251)).rejects.toThrow('`parameters.perturbation` must be a whole number from 0 to 250 (got 251)');
  async function* unheeded() {
    yield { part: { $case: 'parameters' as const, value: InterpolateParameters.fromPartial({ perturbation: 1 }) } };
    for (const value of toChunks(given)) {
      yield { part: { $case: 'latents' as const, value } };
    }
  }
  const refused = receiveTask(unheeded(), loadPreset(tinyPreset));
  await expect(refused).rejects.toThrow('`parameters.perturbation` must be absent: tiny does not have this option');
});

test('the keyframes stage takes a whole piece of given keyframes in a message', () => {
  expect(keyframesStage.maxRequestBytes(loadPreset(tinyPreset))).toBeGreaterThan(chunkBytes);
});

test('keyframes cannot be given to a preset that was built without their encoder', async () => {
  expect(await keyframes.describeEncoder({})).toEqual({ model: 'movq_encoder', ready: false });
  const pictures = tensor('uint8', [2, 64, 64, 3], new Uint8Array(2 * 64 * 64 * 3));
  await expect(encodeKeyframes(keyframes, pictures)).rejects.toThrow(/does not have the model movq_encoder/);
});
