import type {
  InterpolateParameters,
  InterpolationServiceDefinition,
} from '../../proto/gen/fusionframes/v1/interpolation.ts';
import { type Checkpoint, toPieces } from '../../services/pipeline/checkpoint-pieces.ts';
import { framesAfterPass } from '../../services/pipeline/preset.ts';
import type { Tensor } from '../../services/pipeline/tensor.ts';
import { toChunks } from '../../services/pipeline/tensor-chunks.ts';
import { type DenoisingListener, receiveLatents } from './receive-tensor.ts';
import { type Stage, watchedStream } from './stage-call.ts';

/**
 * Interpolates latents [T, 4, h, w] to [4·T − 3, 4, h, w].
 *
 * @param from where to continue; undefined: from the start
 */
export function interpolate(
  stage: Stage<InterpolationServiceDefinition>,
  latents: Tensor<'float32'>,
  parameters: InterpolateParameters,
  from: Checkpoint | undefined,
  listener: DenoisingListener,
  signal: AbortSignal,
): Promise<Tensor<'float32'>> {
  const [frames = 0, ...frameShape] = latents.shape;
  const open = (bounded: AbortSignal) =>
    stage.client.interpolate(requests(latents, parameters, from), { signal: bounded });
  const shape = [framesAfterPass(frames), ...frameShape];
  return receiveLatents(stage, watchedStream(stage, open, signal), shape, listener);
}

async function* requests(latents: Tensor<'float32'>, parameters: InterpolateParameters, from: Checkpoint | undefined) {
  yield { part: { $case: 'parameters' as const, value: parameters } };
  for (const value of toChunks(latents)) {
    yield { part: { $case: 'latents' as const, value } };
  }
  for (const value of from ? toPieces(from) : []) {
    yield { part: { $case: 'checkpoint' as const, value } };
  }
}
