import type { DecodeRequest, DecoderServiceDefinition } from '../../proto/gen/fusionframes/v1/decoder.ts';
import { latentScale } from '../../services/pipeline/latents.ts';
import type { Tensor } from '../../services/pipeline/tensor.ts';
import { toChunks } from '../../services/pipeline/tensor-chunks.ts';
import { TensorReceiver } from './receive-tensor.ts';
import { invalidResponse, type Stage, watchedStream } from './stage-call.ts';

/**
 * Decodes latents [T, 4, h, w] into T frames, uint8 [8·h, 8·w, 3], in order and at the reader's pace.
 *
 * @param parameters the video's priority, and the model that must be used (empty: any)
 */
export async function* decode(
  stage: Stage<DecoderServiceDefinition>,
  latents: Tensor<'float32'>,
  parameters: Omit<DecodeRequest, 'latents'>,
  signal: AbortSignal,
): AsyncGenerator<Uint8Array> {
  const [, , height = 0, width = 0] = latents.shape;
  const receiver = new TensorReceiver(stage, 'uint8', [height * latentScale, width * latentScale, 3]);
  const open = (bounded: AbortSignal) => stage.client.decode(requests(latents, parameters), { signal: bounded });
  let nextIndex = 0;
  for await (const { index, rgb } of watchedStream(stage, open, signal)) {
    if (!rgb || index !== nextIndex) {
      throw invalidResponse(stage, `frame ${index} ${rgb ? '' : 'without pixels '}after ${nextIndex} frames`);
    }
    const frame = receiver.add(rgb);
    if (frame) {
      nextIndex++;
      yield frame.data;
    }
  }
}

async function* requests(latents: Tensor<'float32'>, parameters: Omit<DecodeRequest, 'latents'>) {
  for (const chunk of toChunks(latents)) {
    yield { latents: chunk, ...parameters };
  }
}
