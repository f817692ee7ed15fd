import type {
  InterpolateParameters,
  InterpolationServiceDefinition,
} from '../../proto/gen/fusionframes/v1/interpolation.ts';
import { framesAfterPass } from '../../services/pipeline/preset.ts';
import type { Tensor } from '../../services/pipeline/tensor.ts';
import { toChunks } from '../../services/pipeline/tensor-chunks.ts';
import type { OnProgress } from './on-progress.ts';
import { receiveLatents } from './receive-tensor.ts';
import { type Stage, watchedStream } from './stage-call.ts';

/** Interpolates latents [T, 4, h, w] to [4·T − 3, 4, h, w]. */
export function interpolate(
  stage: Stage<InterpolationServiceDefinition>,
  latents: Tensor<'float32'>,
  parameters: InterpolateParameters,
  onProgress: OnProgress,
  signal: AbortSignal,
): Promise<Tensor<'float32'>> {
  const [frames = 0, ...frameShape] = latents.shape;
  const open = (bounded: AbortSignal) => stage.client.interpolate(requests(latents, parameters), { signal: bounded });
  return receiveLatents(stage, watchedStream(stage, open, signal), [framesAfterPass(frames), ...frameShape], {
    onProgress,
  });
}

async function* requests(latents: Tensor<'float32'>, parameters: InterpolateParameters) {
  yield { part: { $case: 'parameters' as const, value: parameters } };
  for (const value of toChunks(latents)) {
    yield { part: { $case: 'latents' as const, value } };
  }
}
