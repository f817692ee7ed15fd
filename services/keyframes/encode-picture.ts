import type { BackendTime } from '../kit/telemetry/backend-time.ts';
import { isFiniteThroughout, notFinite } from '../pipeline/finite.ts';
import type { movqEncoderInterface } from '../pipeline/networks/movq.ts';
import { type Tensor, tensor } from '../pipeline/tensor.ts';
import type { ExpectedModel } from '../triton/expected-model.ts';
import { queueLevels } from '../triton/queue-level.ts';
import type { StageContext } from '../triton/stage.ts';

export type PictureEncoder = ExpectedModel<ReturnType<typeof movqEncoderInterface>>;

interface EncodingRun extends Pick<StageContext, 'triton'> {
  /** −100 to 100 */
  priority: number;
  backendTime: BackendTime;
  signal: AbortSignal;
}

/**
 * The latents [4, h, w] of a picture, bytes [height, width, 3]. Throws INTERNAL if they are not finite.
 *
 * @param label what the picture is, in errors
 */
export async function encodePicture(
  { triton, priority, backendTime, signal }: EncodingRun,
  encoder: PictureEncoder,
  { shape, data }: Tensor<'uint8'>,
  label: string,
): Promise<Float32Array> {
  const [height = 0, width = 0, colours = 0] = shape;
  const pixels = height * width;
  const planes = Float32Array.from({ length: data.length }, (_, i) => {
    const [colour, pixel] = [Math.floor(i / pixels), i % pixels];
    return (data[pixel * colours + colour]! / 255) * 2 - 1;
  });
  const { encoded } = await triton.inferExpected(
    encoder,
    { image: tensor('float32', [1, colours, height, width], planes) },
    { priority: queueLevels(priority)(), backendTime, signal },
  );
  if (!isFiniteThroughout(encoded.data)) {
    throw notFinite('keyframes', label);
  }
  return encoded.data;
}
