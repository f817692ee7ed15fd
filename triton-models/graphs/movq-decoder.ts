import {
  type MovqConfig,
  movqDecoderInterface,
  movqVideoDecoderInterface,
  type VideoMovqConfig,
} from '../../services/pipeline/networks/movq.ts';
import { tensorSpec } from '../../services/pipeline/networks/network-interface.ts';
import { foldFrames } from './frames.ts';
import type { Graph } from './graph.ts';
import { decodeLatents } from './movq-decode-latents.ts';
import type { Value } from './value.ts';

/** The served MoVQ image decoder, see {@link movqDecoderInterface}. */
export function movqDecoder(g: Graph, config: MovqConfig): void {
  const { inputs, outputs } = movqDecoderInterface(config);
  const { latents } = g.takes(inputs);
  const decoded = decodeLatents(latents, config);
  g.gives(outputs, { frames: toBytes(toLevels(decoded)), is_finite: finiteFrames(decoded) });
}

/** The same decoder before rounding: latents `[n, z, h, w]` → decoded `[n, 3, 8h, 8w]`, about [−1, 1]. */
export function movqImageDecoder(g: Graph, config: MovqConfig): void {
  const { latents } = g.takes(movqDecoderInterface(config).inputs);
  g.output('decoded', decodeLatents(latents, config), ['frames', config.out_ch, 'height', 'width']);
}

/**
 * The served MoVQ temporal decoder, see {@link movqVideoDecoderInterface}. A frame depends only on its window and its
 * position in it.
 */
export function movqVideoDecoder(g: Graph, config: VideoMovqConfig): void {
  const { inputs, outputs } = movqVideoDecoderInterface(config);
  const { latents } = g.takes(inputs);
  const { folded, frames } = foldFrames(latents);
  const decoded = decodeLatents(folded, config, { config, frames });
  const levels = toLevels(decoded);
  const windows = latents.sizes(0, 2);
  g.gives(outputs, {
    frames: toBytes(levels.reshape(windows, levels.sizes(1, 3), config.out_ch)),
    is_finite: finiteFrames(decoded).reshape(windows),
  });
}

/**
 * The same decoder in the layout of the published code, one window per call, before rounding: latents `[F, z, h, w]`
 * and, with `hasAugmentation`, aug_emb `[1, F, 1]` → decoded `[F, 3, 8h, 8w]`.
 */
export function movqWindowDecoder(g: Graph, config: VideoMovqConfig, hasAugmentation: boolean): void {
  const { latents } = g.takes(movqDecoderInterface(config).inputs);
  const total = latents.sizes(0, 1);
  const frames = { videos: g.integers([1]), perVideo: total, total };
  const decoded = decodeLatents(latents, config, {
    config,
    frames,
    ...(hasAugmentation && {
      augmentation: g.input('aug_emb', tensorSpec('float32', 1, 'frames', 1)).reshape(-1, 1),
    }),
  });
  g.output('decoded', decoded, ['frames', config.out_ch, 'height', 'width']);
}

/** Image `[n, 3, h, w]`, about [−1, 1], → whole numbers from 0 to 255 `[n, h, w, 3]`. */
const toLevels = (image: Value): Value =>
  image.times(0.5).plus(0.5).clip(0, 1).times(255).node('Round').transpose(0, 2, 3, 1);

const maxFloat32 = 3.4028234663852886e38;

/** Image `[n, 3, h, w]` → whether all its elements are finite `[n, 1]`. A NaN or infinity carries over to the mean. */
function finiteFrames(image: Value): Value {
  const { graph } = image;
  const mean = image.node('ReduceMean', [graph.integers([1, 2, 3])], { keepdims: 0 }).reshape(-1, 1);
  return mean.node('Abs').node('Less', [graph.floats([maxFloat32], [])]);
}

/** Must come last: TensorRT supports bytes only as graph outputs. */
const toBytes = (levels: Value): Value => levels.cast('uint8');
