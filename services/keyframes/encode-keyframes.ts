import { Status } from 'nice-grpc-common';
import type { EncodeKeyframesRequest, EncodeKeyframesResponse } from '../../proto/gen/fusionframes/v1/keyframes.ts';
import { FusionError, invalidField, inWords } from '../kit/errors.ts';
import { BackendTime } from '../kit/telemetry/backend-time.ts';
import { handOver } from '../pipeline/hand-over.ts';
import { keyframeEncoder } from '../pipeline/keyframe-encoder.ts';
import { checkLatentSize, latentChannels, latentScale } from '../pipeline/latents.ts';
import type { Preset } from '../pipeline/preset.ts';
import { checkPriority } from '../pipeline/priority.ts';
import { elementCount, type Tensor, tensor } from '../pipeline/tensor.ts';
import { TensorAssembler, toChunks } from '../pipeline/tensor-chunks.ts';
import { expectNetwork } from '../triton/expected-model.ts';
import type { StageContext } from '../triton/stage.ts';
import { encodePicture, type PictureEncoder } from './encode-picture.ts';

const minKeyframes = 2;
const callSeconds = 10;

/** The model that encodes given pictures. */
export function encoderOf(preset: Preset): PictureEncoder {
  const { name, interface: tensors } = keyframeEncoder(preset);
  return expectNetwork(name, 1, tensors);
}

/** Whether the inference server has the encoder of keyframes. */
export async function describeEncoder({ preset, triton }: StageContext, signal: AbortSignal) {
  const { name: model } = keyframeEncoder(preset);
  const { modelVersion: version } = triton;
  const options = { signal, timeoutSeconds: callSeconds, ...(version !== undefined && { version }) };
  return { model, ready: await triton.models.isReady(model, options) };
}

/** Encodes given keyframes; the same pictures give the same bytes. Throws FAILED_PRECONDITION without an encoder. */
export async function* encodeKeyframes(
  context: StageContext,
  requests: AsyncIterable<EncodeKeyframesRequest>,
  signal: AbortSignal,
): AsyncGenerator<EncodeKeyframesResponse> {
  const { pictures, priority } = await receivePictures(requests, context.preset);
  const encoder = encoderOf(context.preset);
  const { model, ready } = await describeEncoder(context, signal);
  if (!ready) {
    throw new FusionError(Status.FAILED_PRECONDITION, `The inference server does not have the model ${model}`, {
      reason: 'NO_ENCODER',
    });
  }
  const [total = 0, ...pictureShape] = pictures.shape;
  const [height = 0, width = 0] = pictureShape;
  const length = elementCount(pictureShape);
  const latentShape = [latentChannels, height / latentScale, width / latentScale];
  const latents = new Float32Array(total * elementCount(latentShape));
  const backendTime = new BackendTime();
  for (let index = 0; index < total; index++) {
    const picture = tensor('uint8', pictureShape, pictures.data.subarray(index * length, (index + 1) * length));
    const run = { ...context, priority, backendTime, signal };
    const encoded = await encodePicture(run, encoder, picture, `keyframe ${index + 1} of ${total}`);
    latents.set(encoded, index * encoded.length);
    yield { event: { $case: 'progress', value: { step: index + 1, total } } };
  }
  backendTime.note('keyframes');
  for (const value of toChunks(handOver('keyframes', tensor('float32', [total, ...latentShape], latents)))) {
    yield { event: { $case: 'latents', value } };
  }
}

/** Reads the client's stream to its end and checks it against the preset; throws INVALID_ARGUMENT naming the field. */
async function receivePictures(
  requests: AsyncIterable<EncodeKeyframesRequest>,
  preset: Preset,
): Promise<{ pictures: Tensor<'uint8'>; priority: number }> {
  const { width, height } = preset.frameSize.maximum;
  const { frames } = preset.keyframes;
  const maxBytes = frames * width * height * 3;
  const assembler = new TensorAssembler({ field: 'pictures', dataType: 'uint8', rank: 4, maxBytes });
  let priority: number | undefined;
  for await (const request of requests) {
    priority ??= checkPriority(request.priority);
    if (request.pictures) {
      assembler.add(request.pictures);
    }
  }
  const pictures = assembler.finish();
  const [count = 0, tall = 0, wide = 0, colours] = pictures.shape;
  if (count < minKeyframes || count > frames || colours !== 3) {
    const mustBe = `[pictures, height, width, 3] with ${minKeyframes} to ${frames} pictures`;
    throw invalidField('pictures', inWords(`shape [${pictures.shape}]`), mustBe);
  }
  if (tall % latentScale !== 0 || wide % latentScale !== 0) {
    throw invalidField('pictures', inWords(`${wide}x${tall} pixels`), `multiples of ${latentScale}`);
  }
  checkLatentSize('pictures', [count, latentChannels, tall / latentScale, wide / latentScale], preset);
  return { pictures, priority: priority ?? 0 };
}
