import { Status } from 'nice-grpc-common';
import { FusionError } from '../../services/kit/errors.ts';
import { decoderRequests } from '../../services/pipeline/decoder-requests.ts';
import { latentChannels, latentScale } from '../../services/pipeline/latents.ts';
import { movqEncoderName } from '../../services/pipeline/networks/movq.ts';
import { modelNames, type Preset } from '../../services/pipeline/preset.ts';
import { type Tensor, tensor } from '../../services/pipeline/tensor.ts';
import { type Clip, firstFrames } from './open-clip.ts';
import { minPictureSide } from './picture-metrics.ts';
import type { RunModel } from './run-model.ts';

const colours = 3;

/** Throws INVALID_ARGUMENT for a video that MoVQ can't encode, or with fewer frames. */
export function checkReconstruction(clip: Clip, frames: number, minSide = 0): void {
  const { path, width, height, frameCount } = clip;
  const least = Math.max(minPictureSide, minSide);
  if (width % latentScale !== 0 || height % latentScale !== 0 || Math.min(width, height) < least) {
    const sides = `multiples of ${latentScale} of at least ${least} pixels`;
    throw refused(`${path} must have sides that are ${sides} (got ${width}x${height}): scale or crop it first`);
  }
  if (frameCount < Math.max(1, frames)) {
    throw refused(`${path} must have at least ${Math.max(1, frames)} frames (got ${frameCount})`);
  }
}

/**
 * The first frames of a video as a preset's MoVQ gives them back, in the windows in which its decoder stage decodes a video of
 * that length. Holds one window at a time.
 */
export function reconstructed(clip: Clip, count: number, preset: Preset, run: RunModel): Clip {
  return {
    ...clip,
    frameCount: count,
    async *frames() {
      const source = firstFrames(clip, count);
      try {
        for (const { start, end, leading } of decoderRequests(preset, count)) {
          const latents: Float32Array[] = [];
          for (let frame = start; frame < end; frame++) {
            latents.push(await encode((await source.next()).value as Uint8Array, clip, run));
          }
          yield* await decode(latents, leading, clip, run);
        }
      } finally {
        await source.return(undefined);
      }
    },
  };
}

/** A picture uint8 [height, width, 3] → latents [4, h, w]. */
async function encode(picture: Uint8Array, { path, width, height }: Clip, run: RunModel): Promise<Float32Array> {
  const pixels = width * height;
  const values = new Float32Array(colours * pixels);
  for (let i = 0; i < picture.length; i++) {
    values[(i % colours) * pixels + Math.floor(i / colours)] = picture[i]! / 127.5 - 1;
  }
  const { encoded } = await run(movqEncoderName, { image: tensor('float32', [1, colours, height, width], values) });
  const latents = (encoded as Tensor<'float32'>).data;
  if (!latents.every(Number.isFinite)) {
    throw notFinite(`${path}: the encoder's output is not finite`);
  }
  return latents;
}

/** Latents of a request → pictures uint8 [height, width, 3]. */
async function decode(
  latents: readonly Float32Array[],
  leading: readonly number[],
  { path, width, height }: Clip,
  run: RunModel,
): Promise<Uint8Array[]> {
  const size = [latentChannels, height / latentScale, width / latentScale];
  const values = Float32Array.from(latents.flatMap((each) => [...each]));
  const outputs = await run(modelNames.decoder, { latents: tensor('float32', [...leading, ...size], values) });
  const { data: finite } = outputs.is_finite as Tensor<'bool'>;
  if (finite.includes(0)) {
    throw notFinite(`${path}: the decoder's output is not finite`);
  }
  const { data } = outputs.frames as Tensor<'uint8'>;
  const length = width * height * colours;
  return latents.map((_, frame) => data.subarray(frame * length, (frame + 1) * length));
}

function refused(message: string): FusionError {
  return new FusionError(Status.INVALID_ARGUMENT, message, { reason: 'INVALID_FIELD' });
}

function notFinite(message: string): FusionError {
  return new FusionError(Status.INTERNAL, message, { reason: 'PREDICTION_NOT_FINITE' });
}
