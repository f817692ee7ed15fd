import { open } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { Status } from 'nice-grpc-common';
import { DecoderServiceDefinition } from '../../proto/gen/fusionframes/v1/decoder.ts';
import {
  type GenerateKeyframesRequest,
  KeyframesServiceDefinition,
} from '../../proto/gen/fusionframes/v1/keyframes.ts';
import { TextEncoderServiceDefinition } from '../../proto/gen/fusionframes/v1/text_encoder.ts';
import { decoderStage } from '../../services/decoder/decoder-stage.ts';
import { keyframesStage } from '../../services/keyframes/keyframes-stage.ts';
import { connect } from '../../services/kit/channel.ts';
import { Scope } from '../../services/kit/scope.ts';
import { temporaryFolder } from '../../services/kit/testing/temporary-folder.ts';
import { loadPreset } from '../../services/pipeline/preset.ts';
import { tensor } from '../../services/pipeline/tensor.ts';
import { fromWireTensor, toChunks } from '../../services/pipeline/tensor-chunks.ts';
import { textEncoderStage } from '../../services/text-encoder/text-encoder-stage.ts';
import { writeRandomWeights } from '../../triton-models/checkpoints/random-weights.ts';
import { readSafetensors } from '../../triton-models/checkpoints/safetensors.ts';
import { parametersOf, presetNetworks } from '../../triton-models/networks/preset-networks.ts';
import { type Backend, startBackend } from '../support/backend.ts';
import { tinyPreset } from '../support/tiny-preset.ts';

/** The last layer of each network: at the largest of finite weights its outputs are infinite. */
const lastLayers = {
  textEncoder: 'projections.t5.1.weight',
  keyframes: 'out_layer.2.weight',
  decoder: 'decoder.conv_out.weight',
} as const;

const scope = new Scope();
let backend: Backend;
beforeAll(async () => {
  const folder = temporaryFolder(scope);
  const tiny = loadPreset(tinyPreset);
  const networks = presetNetworks(tiny);
  const weights = { ...tiny.weights };
  for (const [name, parameter] of Object.entries(lastLayers) as [keyof typeof lastLayers, string][]) {
    weights[name] = join(folder, `${name}.safetensors`);
    await writeRandomWeights(weights[name], parametersOf(networks[name]).shapes, 1);
    await fill(weights[name], parameter, 3e38);
  }
  backend = await scope.open(() => startBackend({ ...tiny, weights }));
});
afterAll(() => scope.close());

async function fill(path: string, parameter: string, value: number): Promise<void> {
  const { offset, length } = (await readSafetensors(path)).tensors.get(parameter)!;
  const file = await open(path, 'r+');
  await file.write(new Uint8Array(new Float32Array(length / 4).fill(value).buffer), 0, length, offset);
  await file.close();
}

function client<D extends Parameters<typeof connect>[0]>(definition: D, address: string) {
  return scope.add(connect(definition, address)).client;
}

test('a decoder that overflows names the frame and sends nothing of it', async () => {
  const decoder = client(DecoderServiceDefinition, await backend.start(decoderStage));
  async function* requests() {
    for (const latents of toChunks(tensor('float32', [3, 4, 8, 8], new Float32Array(3 * 256).fill(0.5)))) {
      yield { latents };
    }
  }
  await expect(decoder.decode(requests())[Symbol.asyncIterator]().next()).rejects.toMatchObject({
    code: Status.INTERNAL,
    reason: 'PREDICTION_NOT_FINITE',
    message: "decoder, frame 1 of 3: the network's output is not finite",
  });
});

test('a denoising network that overflows names the step', async () => {
  const keyframes = client(KeyframesServiceDefinition, await backend.start(keyframesStage));
  const texts = client(TextEncoderServiceDefinition, await backend.start(textEncoderStage));
  const { prompt, isOverflowed, isNegativeOverflowed } = await texts.encode({ prompt: 'a red circle' });
  // As published: an encoding that overflows is as good as no text.
  expect([isOverflowed, isNegativeOverflowed]).toEqual([true, false]);
  const context = fromWireTensor('context', prompt?.context, 'float32', 2);
  const mask = fromWireTensor('mask', prompt?.contextMask, 'bool', 1);
  expect([context.data.every((value) => value === 0), mask.data.every((value) => value === 0)]).toEqual([true, true]);

  const request = { prompt, width: 64, height: 64, seed: 5n, sampling: { steps: 3 } } as GenerateKeyframesRequest;
  await expect(keyframes.generateKeyframes(request)[Symbol.asyncIterator]().next()).rejects.toMatchObject({
    code: Status.INTERNAL,
    reason: 'PREDICTION_NOT_FINITE',
    message: "keyframes, denoising step 1 of 3: the network's output is not finite",
  });
});
