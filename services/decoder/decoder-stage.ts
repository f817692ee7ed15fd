import { type DecodeRequest, DecoderServiceDefinition } from '../../proto/gen/fusionframes/v1/decoder.ts';
import { service } from '../kit/serve.ts';
import { BackendTime } from '../kit/telemetry/backend-time.ts';
import { type DecoderRequest, decoderRequests } from '../pipeline/decoder-requests.ts';
import { handOver } from '../pipeline/hand-over.ts';
import { checkLatentSize, maxLatentBytes } from '../pipeline/latents.ts';
import { networkInterfaces } from '../pipeline/networks/preset-networks.ts';
import { modelNames, type Preset } from '../pipeline/preset.ts';
import { elementCount, type Tensor, tensor } from '../pipeline/tensor.ts';
import { maxChunkMessageBytes, TensorAssembler, toChunks } from '../pipeline/tensor-chunks.ts';
import { expectNetwork } from '../triton/expected-model.ts';
import type { Stage, StageContext } from '../triton/stage.ts';

/** Turns latents into pictures with the MoVQ decoder of images or of videos, a few frames a request. */
export const decoderStage: Stage = {
  name: 'decoder',
  settings: {},
  expectedModel,
  maxRequestBytes: () => maxChunkMessageBytes,
  prepare: () => (context) =>
    service(DecoderServiceDefinition, {
      async *decode(requests: AsyncIterable<DecodeRequest>, { signal }) {
        const latents = await receiveLatents(requests, context.preset);
        const [total = 0] = latents.shape;
        const backendTime = new BackendTime();
        let index = 0;
        for await (const batch of decodeBatches(context, latents, backendTime, signal)) {
          for (const frame of splitFrames(batch)) {
            for (const rgb of toChunks(handOver('decoder', frame))) {
              yield { index, total, rgb };
            }
            index++;
          }
        }
        backendTime.note('decoder');
      },
    }),
};

function expectedModel(preset: Preset) {
  const { kind, framesPerRequest, framesPerWindow } = preset.decoder;
  const items = kind === 'video' ? Math.max(1, Math.floor(framesPerRequest / framesPerWindow)) : framesPerRequest;
  return expectNetwork(modelNames.decoder, items, networkInterfaces.decoder(preset));
}

async function receiveLatents(requests: AsyncIterable<DecodeRequest>, preset: Preset): Promise<Tensor<'float32'>> {
  const assembler = new TensorAssembler({
    field: 'latents',
    dataType: 'float32',
    rank: 4,
    maxBytes: maxLatentBytes(preset),
  });
  for await (const { latents } of requests) {
    if (latents) {
      assembler.add(latents);
    }
  }
  const latents = assembler.finish();
  checkLatentSize('latents', latents.shape, preset);
  return latents;
}

/** Decodes in order; while one batch is being sent the next one is already at the backend. */
async function* decodeBatches(
  { preset, triton }: StageContext,
  latents: Tensor<'float32'>,
  backendTime: BackendTime,
  signal: AbortSignal,
): AsyncGenerator<Tensor<'uint8'>> {
  const [total = 0, ...frameShape] = latents.shape;
  const frameLength = elementCount(frameShape);
  const model = expectedModel(preset);
  const requests = decoderRequests(preset, total).values();
  const stop = new AbortController();
  const bounded = AbortSignal.any([signal, stop.signal]);
  const decode = async ({ start, end, leading }: DecoderRequest): Promise<Tensor<'uint8'>> => {
    const slice = latents.data.subarray(start * frameLength, end * frameLength);
    const input = tensor('float32', [...leading, ...frameShape], slice);
    const { frames } = await triton.inferExpected(model, { latents: input }, { backendTime, signal: bounded });
    return frames;
  };

  const beginNext = () => {
    const { value: request } = requests.next();
    const batch = request && decode(request);
    // It may fail before anything awaits it; the later await gets the error.
    batch?.catch(() => {});
    return batch;
  };

  let next = beginNext();
  try {
    while (next) {
      const batch: Tensor<'uint8'> = await next;
      next = beginNext();
      yield batch;
    }
  } finally {
    // A reader that leaves early must not leave work behind.
    stop.abort();
    await next?.catch(() => {});
  }
}

/** The frames [H, W, 3] of a batch [frames, H, W, 3] or [windows, frames, H, W, 3]. */
function* splitFrames(batch: Tensor<'uint8'>): Generator<Tensor<'uint8'>> {
  const frameShape = batch.shape.slice(-3);
  const length = elementCount(frameShape);
  for (let start = 0; start < batch.data.length; start += length) {
    yield tensor('uint8', frameShape, batch.data.subarray(start, start + length));
  }
}
