import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { Status } from 'nice-grpc-common';
import { DecoderServiceDefinition } from '../../proto/gen/fusionframes/v1/decoder.ts';
import { GRPCInferenceServiceDefinition } from '../../proto/gen/grpc_service.ts';
import { decoderStage } from '../../services/decoder/decoder-stage.ts';
import { normalNoise } from '../../services/diffusion/noise.ts';
import { type ConnectedClient, type Connection, connect } from '../../services/kit/channel.ts';
import { loadPreset, modelNames, type Preset } from '../../services/pipeline/preset.ts';
import { type Tensor, tensor } from '../../services/pipeline/tensor.ts';
import { TensorAssembler, toChunks } from '../../services/pipeline/tensor-chunks.ts';
import { withDecoder } from '../../services/pipeline/testing.ts';
import { type Backend, startBackend } from '../support/backend.ts';
import { tinyPreset } from '../support/tiny-preset.ts';

/** The tiny preset with a temporal decoder of the published kind, for videos of 225 frames. */
function videoPreset(): Preset {
  const tiny = loadPreset(tinyPreset);
  const { keyframes } = tiny;
  const longer = { ...keyframes, frames: 15, network: { ...keyframes.network, num_frames: 15 } };
  const network = { temporal: true, temporal_attention_block: true };
  return withDecoder({ ...tiny, keyframes: longer }, { kind: 'video', network, framesPerRequest: 10 });
}

let backend: Backend;
let connection: Connection<DecoderServiceDefinition>;
let decoder: ConnectedClient<DecoderServiceDefinition>;
beforeAll(async () => {
  backend = await startBackend(videoPreset());
  connection = connect(DecoderServiceDefinition, await backend.start(decoderStage));
  decoder = connection.client;
});
afterAll(async () => {
  connection.close();
  await backend.stop();
});

const frameLength = 4 * 8 * 8;

function noise(frames: number): Tensor<'float32'> {
  const values = normalNoise({ seed: 3n, purpose: 99, draw: 0 }, 0, frames * frameLength);
  return tensor('float32', [frames, 4, 8, 8], values);
}

function framesOf(latents: Tensor<'float32'>, start: number, end: number): Tensor<'float32'> {
  const data = latents.data.slice(start * frameLength, end * frameLength);
  return tensor('float32', [end - start, 4, 8, 8], data);
}

async function* requests(latents: Tensor) {
  for (const chunk of toChunks(latents)) {
    yield { latents: chunk };
  }
}

/** The decoded frames, as text that is quick to compare. */
async function decode(latents: Tensor): Promise<string[]> {
  const frames: string[] = [];
  for await (const { index, total, rgb } of decoder.decode(requests(latents))) {
    expect([index, total]).toEqual([frames.length, latents.shape[0]]);
    const assembler = new TensorAssembler({ field: 'rgb', dataType: 'uint8', rank: 3, maxBytes: 1 << 24 });
    expect(assembler.add(rgb!)).toBe(true);
    const { shape, data } = assembler.finish();
    expect(shape).toEqual([64, 64, 3]);
    frames.push(Buffer.from(data).toString('base64'));
  }
  return frames;
}

/** How many windows the server has decoded. */
async function windowsDecoded(): Promise<number> {
  const inference = connect(GRPCInferenceServiceDefinition, backend.inferenceAddress);
  try {
    const { modelStats } = await inference.client.modelStatistics({ name: modelNames.decoder });
    return Number(modelStats[0]?.inferenceCount);
  } finally {
    inference.close();
  }
}

test('a video is decoded window by window, each as if it were the whole video', async () => {
  const latents = noise(17);
  const frames = await decode(latents);
  expect(frames).toHaveLength(17);
  for (const [start, end] of [
    [0, 5],
    [5, 10],
    [10, 15],
    [15, 17],
  ] as const) {
    expect(await decode(framesOf(latents, start, end))).toEqual(frames.slice(start, end));
  }
  // Other windows than these would give other frames.
  expect((await decode(framesOf(latents, 0, 4))).at(-1)).not.toEqual(frames[3]);
});

test.each([1, 2, 3, 7])('%d frames are one window', async (count) => {
  const before = await windowsDecoded();
  expect(await decode(noise(count))).toHaveLength(count);
  expect((await windowsDecoded()) - before).toBe(1);
});

test('a reader that leaves stops the remaining windows', async () => {
  const before = await windowsDecoded();
  for await (const _ of decoder.decode(requests(noise(225)))) {
    break;
  }
  await decode(noise(5));
  // 225 frames are 45 windows, two in a request; what ran ahead of the reader is bounded.
  expect((await windowsDecoded()) - before).toBeLessThan(45);
});

test("a preset with the image decoder rejects the video decoder's model", async () => {
  await expect(backend.start(decoderStage, loadPreset(tinyPreset))).rejects.toMatchObject({
    code: Status.FAILED_PRECONDITION,
    reason: 'MODEL_MISMATCH',
  });
});
