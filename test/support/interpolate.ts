import type {
  InterpolateParameters,
  InterpolationServiceDefinition,
} from '../../proto/gen/fusionframes/v1/interpolation.ts';
import type { ConnectedClient } from '../../services/kit/channel.ts';
import type { Tensor } from '../../services/pipeline/tensor.ts';
import { TensorAssembler, toChunks } from '../../services/pipeline/tensor-chunks.ts';

/** Calls the interpolation stage for one pass over frames [T, 4, h, w] → [4·T − 3, 4, h, w]. */
export async function interpolate(
  client: ConnectedClient<InterpolationServiceDefinition>,
  latents: Tensor<'float32'>,
  parameters: Partial<InterpolateParameters>,
): Promise<Tensor<'float32'>> {
  async function* requests() {
    const defaults = { pass: 0, seed: 7n, sampling: undefined, priority: 0, checkpointSeconds: 0 };
    yield { part: { $case: 'parameters' as const, value: { ...defaults, ...parameters } } };
    for (const chunk of toChunks(latents)) {
      yield { part: { $case: 'latents' as const, value: chunk } };
    }
  }
  const assembler = new TensorAssembler({ field: 'latents', dataType: 'float32', rank: 4, maxBytes: 1 << 26 });
  for await (const { event } of client.interpolate(requests())) {
    if (event?.$case === 'latents') {
      assembler.add(event.value);
    }
  }
  return assembler.finish() as Tensor<'float32'>;
}
