import { Status } from 'nice-grpc-common';
import type {
  DescribeEncoderResponse,
  GenerateKeyframesRequest,
  KeyframesServiceDefinition,
} from '../../proto/gen/fusionframes/v1/keyframes.ts';
import { repeatable } from '../../services/kit/channel.ts';
import { toFusionError } from '../../services/kit/errors.ts';
import { noConnection } from '../../services/kit/no-connection.ts';
import { latentChannels, latentScale } from '../../services/pipeline/latents.ts';
import type { Tensor } from '../../services/pipeline/tensor.ts';
import { toChunks } from '../../services/pipeline/tensor-chunks.ts';
import type { OnProgress } from './on-progress.ts';
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
  const sampled = Math.max(1, request.things.length);
  return receiveLatents(stage, watchedStream(stage, open, signal), shape, listener, sampled);
}

/** Encodes pictures, uint8 [pictures, height, width, 3]; returns their latents, float32 [pictures, 4, height / 8, width / 8]. */
export function encodeKeyframes(
  stage: Stage<KeyframesServiceDefinition>,
  pictures: Tensor<'uint8'>,
  priority: number,
  onProgress: OnProgress,
  signal: AbortSignal,
): Promise<Tensor<'float32'>> {
  const [count = 0, height = 0, width = 0] = pictures.shape;
  const shape = [count, latentChannels, height / latentScale, width / latentScale];
  const requests = async function* () {
    for (const chunk of toChunks(pictures)) {
      yield { pictures: chunk, priority };
    }
  };
  const open = (bounded: AbortSignal) => stage.client.encodeKeyframes(requests(), { signal: bounded });
  return receiveLatents(stage, watchedStream(stage, open, signal), shape, { onProgress });
}

/** Longest that a stage may take to describe its encoder, milliseconds: someone waits who creates a video. */
const deadline = 2000;

/**
 * The model that encodes keyframes, and whether it can. Undefined if the stage does not answer now, so that it is not
 * known.
 */
export async function findEncoder({
  client,
}: Pick<Stage<KeyframesServiceDefinition>, 'client'>): Promise<DescribeEncoderResponse | undefined> {
  try {
    return await client.describeEncoder({}, { ...repeatable, deadline });
  } catch (error) {
    const { code, reason } = toFusionError(error);
    if (reason === noConnection || code === Status.DEADLINE_EXCEEDED || code === Status.UNAVAILABLE) {
      return undefined;
    }
    // A stage of the previous release.
    if (code === Status.UNIMPLEMENTED) {
      return { model: '', ready: false };
    }
    throw error;
  }
}
