import type {
  GenerateKeyframesRequest,
  KeyframesServiceDefinition,
} from '../../proto/gen/fusionframes/v1/keyframes.ts';
import { latentChannels, latentScale } from '../../services/pipeline/latents.ts';
import type { Tensor } from '../../services/pipeline/tensor.ts';
import { type DenoisingListener, receiveLatents } from './receive-tensor.ts';
import { type Stage, watchedStream } from './stage-call.ts';

/** Generates `frames` keyframes; returns their latents, float32 [frames, 4, height / 8, width / 8]. */
export function generateKeyframes(
  stage: Stage<KeyframesServiceDefinition>,
  request: GenerateKeyframesRequest,
  frames: number,
  listener: DenoisingListener,
  signal: AbortSignal,
): Promise<Tensor<'float32'>> {
  const shape = [frames, latentChannels, request.height / latentScale, request.width / latentScale];
  const open = (bounded: AbortSignal) => stage.client.generateKeyframes(request, { signal: bounded });
  return receiveLatents(stage, watchedStream(stage, open, signal), shape, listener);
}
