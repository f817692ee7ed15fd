import type { KeyframesServiceDefinition } from '../../proto/gen/fusionframes/v1/keyframes.ts';
import type { ConnectedClient } from '../../services/kit/channel.ts';
import type { Tensor } from '../../services/pipeline/tensor.ts';
import { TensorAssembler, toChunks } from '../../services/pipeline/tensor-chunks.ts';

/** Encodes pictures [n, height, width, 3] with the keyframes stage: their latents, and the progress. */
export async function encodeKeyframes(
  client: ConnectedClient<KeyframesServiceDefinition>,
  pictures: Tensor<'uint8'>,
): Promise<{ latents: Tensor<'float32'>; steps: string[] }> {
  async function* requests() {
    for (const chunk of toChunks(pictures)) {
      yield { pictures: chunk, priority: 0 };
    }
  }
  const latents = new TensorAssembler({ field: 'latents', dataType: 'float32', rank: 4, maxBytes: 1 << 24 });
  const steps: string[] = [];
  for await (const { event } of client.encodeKeyframes(requests())) {
    if (event?.$case === 'latents') {
      latents.add(event.value);
    } else if (event) {
      steps.push(`${event.value.step}/${event.value.total}`);
    }
  }
  return { latents: latents.finish(), steps };
}
