import { type DecodeRequest, DecoderServiceDefinition } from '../../proto/gen/fusionframes/v1/decoder.ts';
import { service } from '../kit/serve.ts';
import { BackendTime } from '../kit/telemetry/backend-time.ts';
import { type DecoderRequest, decoderRequests } from '../pipeline/decoder-requests.ts';
import { notFinite } from '../pipeline/finite.ts';
import { handOver } from '../pipeline/hand-over.ts';
import { checkLatentSize, maxLatentBytes } from '../pipeline/latents.ts';
import type { TensorsOf } from '../pipeline/networks/network-interface.ts';
import type { networkInterfaces } from '../pipeline/networks/preset-networks.ts';
import type { Preset } from '../pipeline/preset.ts';
import { checkPriority } from '../pipeline/priority.ts';
import { elementCount, type Tensor, tensor } from '../pipeline/tensor.ts';
import { maxChunkMessageBytes, TensorAssembler, toChunks } from '../pipeline/tensor-chunks.ts';
import { frameDecoder } from '../triton/frame-decoder.ts';
import { queueLevels } from '../triton/queue-level.ts';
import type { Stage, StageContext } from '../triton/stage.ts';

/** Decodes latents into frames with the MoVQ image or video decoder, a few frames per request. */
export const decoderStage: Stage = {
  name: 'decoder',
  settings: {},
  expectedModels: (preset) => [frameDecoder(preset)],
  maxRequestBytes: () => maxChunkMessageBytes,
  prepare: () => (context) =>
    service(DecoderServiceDefinition, {
      async *decode(requests: AsyncIterable<DecodeRequest>, { signal }) {
        const { latents, priority, model } = await receiveTask(requests, context.preset);
        await context.model.confirmRecent(model, signal);
        const [total = 0] = latents.shape;
        const backendTime = new BackendTime();
        let index = 0;
        for await (const { frames, is_finite } of decodeBatches(context, latents, priority, backendTime, signal)) {
          const broken = is_finite.data.indexOf(0);
          if (broken !== -1) {
            throw notFinite('decoder', `frame ${index + broken + 1} of ${total}`);
          }
          for (const frame of splitFrames(frames)) {
            for (const rgb of toChunks(handOver('decoder', frame))) {
              yield { index, total, rgb };
            }
            index++;
          }
        }
        await context.model.confirm(model, signal);
        backendTime.note('decoder');
      },
    }),
};

interface DecoderTask {
  latents: Tensor<'float32'>;
  /** −100 to 100 */
  priority: number;
  /** Name of the model that must be used; empty: any. */
  model: string;
}

async function receiveTask(requests: AsyncIterable<DecodeRequest>, preset: Preset): Promise<DecoderTask> {
  const assembler = new TensorAssembler({
    field: 'latents',
    dataType: 'float32',
    rank: 4,
    maxBytes: maxLatentBytes(preset),
  });
  let [priority, model]: [number?, string?] = [];
  for await (const { latents, ...given } of requests) {
    priority ??= checkPriority(given.priority);
    model ??= given.model;
    if (latents) {
      assembler.add(latents);
    }
  }
  const latents = assembler.finish();
  checkLatentSize('latents', latents.shape, preset);
  return { latents, priority: priority ?? 0, model: model ?? '' };
}

/** Frames [frames, H, W, 3] or [windows, frames, H, W, 3], and whether the network's output was finite for each. */
type Batch = TensorsOf<ReturnType<typeof networkInterfaces.decoder>['outputs']>;

/** How many requests a video has on the backend: one runs, and the next is there when it ends. */
const requestsAhead = 2;

/** Decodes in order; while one batch is being sent, the backend already works on the next. */
async function* decodeBatches(
  { preset, triton }: StageContext,
  latents: Tensor<'float32'>,
  priority: number,
  backendTime: BackendTime,
  signal: AbortSignal,
): AsyncGenerator<Batch> {
  const [total = 0, ...frameShape] = latents.shape;
  const frameLength = elementCount(frameShape);
  const model = frameDecoder(preset);
  const requests = decoderRequests(preset, total).values();
  const nextLevel = queueLevels(priority);
  const stop = new AbortController();
  const bounded = AbortSignal.any([signal, stop.signal]);
  const decode = ({ start, end, leading }: DecoderRequest): Promise<Batch> => {
    const slice = latents.data.subarray(start * frameLength, end * frameLength);
    const input = tensor('float32', [...leading, ...frameShape], slice);
    return triton.inferExpected(model, { latents: input }, { priority: nextLevel(), backendTime, signal: bounded });
  };

  const pending: Promise<Batch>[] = [];
  const beginNext = () => {
    const { value: request } = requests.next();
    if (request) {
      const batch = decode(request);
      // It may fail before it is awaited; the later await receives the error.
      batch.catch(() => {});
      pending.push(batch);
    }
  };

  for (let begun = 0; begun < requestsAhead; begun++) {
    beginNext();
  }
  try {
    for (let next = pending.shift(); next; next = pending.shift()) {
      const batch = await next;
      beginNext();
      yield batch;
    }
  } finally {
    // A reader that leaves early must not leave a request running.
    stop.abort();
    await Promise.allSettled(pending);
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
