import type { MovqConfig, VideoMovqConfig } from '../../services/pipeline/networks/movq.ts';
import type { Graph, Value } from './graph.ts';
import { decodeLatents } from './movq-decode-latents.ts';
import { add, multiply, reshape, sizesOf, transpose } from './operators.ts';

/** MoVQ's image decoder as it is served, one item a frame: latents `[n, z, h, w]` → frames `[n, 8h, 8w, 3]`, bytes. */
export function movqDecoder(g: Graph, config: MovqConfig): void {
  const latents = g.input('latents', 'float32', ['frames', config.z_channels, 'latent_height', 'latent_width']);
  const levels = toLevels(g, decodeLatents(g, config, latents));
  g.output('frames', toBytes(g, levels), 'uint8', ['frames', 'height', 'width', config.out_ch]);
}

/** The same decoder before rounding: latents `[n, z, h, w]` → decoded `[n, 3, 8h, 8w]`, about [−1, 1]. */
export function movqImageDecoder(g: Graph, config: MovqConfig): void {
  const latents = g.input('latents', 'float32', ['frames', config.z_channels, 'latent_height', 'latent_width']);
  g.output('decoded', decodeLatents(g, config, latents), 'float32', ['frames', config.out_ch, 'height', 'width']);
}

/**
 * MoVQ's temporal decoder as it is served, one item a window of F neighbouring frames: latents `[B, F, z, h, w]` →
 * frames `[B, F, 8h, 8w, 3]`, bytes. A frame depends on its window alone, and on where in it it stands.
 */
export function movqVideoDecoder(g: Graph, config: VideoMovqConfig): void {
  const { z_channels: z, out_ch: colours } = config;
  const latents = g.input('latents', 'float32', ['windows', 'frames', z, 'latent_height', 'latent_width']);
  const x = reshape(g, latents, [-1, z, sizesOf(g, latents, 3, 5)]);
  const frames = { videos: sizesOf(g, latents, 0, 1), perVideo: sizesOf(g, latents, 1, 2), total: sizesOf(g, x, 0, 1) };
  const levels = toLevels(g, decodeLatents(g, config, x, { config, frames }));
  const shaped = reshape(g, levels, [sizesOf(g, latents, 0, 2), sizesOf(g, levels, 1, 3), colours]);
  g.output('frames', toBytes(g, shaped), 'uint8', ['windows', 'frames', 'height', 'width', colours]);
}

/**
 * The same decoder in the layout of the published code, one window a call and before rounding: latents `[F, z, h, w]`
 * and, with `hasAugmentation`, aug_emb `[1, F, 1]` → decoded `[F, 3, 8h, 8w]`.
 */
export function movqWindowDecoder(g: Graph, config: VideoMovqConfig, hasAugmentation: boolean): void {
  const latents = g.input('latents', 'float32', ['frames', config.z_channels, 'latent_height', 'latent_width']);
  const total = sizesOf(g, latents, 0, 1);
  const frames = { videos: g.integers([1]), perVideo: total, total };
  const decoded = decodeLatents(g, config, latents, {
    config,
    frames,
    ...(hasAugmentation && { augmentation: reshape(g, g.input('aug_emb', 'float32', [1, 'frames', 1]), [-1, 1]) }),
  });
  g.output('decoded', decoded, 'float32', ['frames', config.out_ch, 'height', 'width']);
}

/** Image `[n, 3, h, w]`, about [−1, 1], → whole numbers from 0 to 255 `[n, h, w, 3]`. */
function toLevels(g: Graph, image: Value): Value {
  const unit = add(g, multiply(g, image, g.floats([0.5], [])), g.floats([0.5], []));
  const clipped = g.node('Clip', [unit, g.floats([0], []), g.floats([1], [])]);
  const rounded = g.node('Round', [multiply(g, clipped, g.floats([255], []))]);
  return transpose(g, rounded, [0, 2, 3, 1]);
}

/** Comes last: TensorRT has bytes only where they leave the graph. */
const toBytes = (g: Graph, levels: Value): Value => g.node('Cast', [levels], { to: 2 });
