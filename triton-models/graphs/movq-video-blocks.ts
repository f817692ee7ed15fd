import type { VideoMovqConfig } from '../../services/pipeline/networks/movq.ts';
import { attentionWeights } from './attention.ts';
import type { Frames } from './frames.ts';
import { blend, convolution1x1, convolution3x3, linear } from './layers.ts';
import { type Convolve, type Norm, plainNorm } from './movq-blocks.ts';
import { byVideo, threeFrameConvolution } from './temporal.ts';
import { type Layer, named, silu, type Value, when } from './value.ts';

/** Windows of frames that MoVQ's temporal decoder sees together. */
export interface Windows {
  config: VideoMovqConfig;
  /** The layout, in which a window takes the place of a U-Net's video. */
  frames: Frames;
  /** How each frame's brightness was changed, `[frames, 1]`: known only in training, for one window at a time. */
  augmentation?: Value;
}

/**
 * The convolutions of residual block `name`: each is followed by a convolution over time, `temporal_projection`, which
 * is mixed in by `temporal_merge`.
 */
export function convolveWindows(name: string, windows: Windows): Convolve {
  const { config, frames } = windows;
  const isMiddle = name.startsWith('mid.');
  const isTemporal = config.temporal && (config.temporal_mid_blocks || !isMiddle);
  const hasFlicker = isTemporal && config.flicker_augmentation && name === 'mid.block_1';
  // The published code cannot run its own 3D blocks, because it passes them single frames. Here they see the window.
  const ownConvolution = config.build_3D_decoder ? cubeConvolution : convolution3x3;
  const timeConvolution = config.temporal_kernel_size[1] === 1 ? threeFrameConvolution : cubeConvolution;
  return (index, to) => (x) => {
    const own = x.through(ownConvolution(`conv${index}`, to, frames));
    if (!isTemporal) {
      return own;
    }
    const seen = own.through(when(hasFlicker, () => addFlicker(windows)));
    const overTime = seen.through(timeConvolution(`temporal_projection${index}`, to, frames));
    return blend(own, overTime, `temporal_merge${index}`);
  };
}

function addFlicker({ augmentation }: Windows): Layer {
  return (x) => {
    const { graph, channels } = x;
    if (augmentation === undefined) {
      graph.idleParameter('temporal_flicker_proj.weight', [channels, 1]);
      graph.idleParameter('temporal_flicker_proj.bias', [channels]);
      return x;
    }
    const projected = augmentation.through(linear('temporal_flicker_proj', channels, { bias: true }));
    return x.plus(projected.reshape(0, channels, 1, 1));
  };
}

/** Convolution `name` over three frames and their neighbourhood, kernel 3×3×3, padding 1, of x `[frames, C, h, w]`. */
function cubeConvolution(name: string, to: number, frames: Frames): Layer {
  return named(name, (x) => {
    const { graph, channels } = x;
    const size = x.sizes(2, 4);
    const volume = x.reshape(frames.videos, frames.perVideo, channels, size);
    const weight = graph.parameter('weight', [to, channels, 3, 3, 3]);
    const convolved = volume.transpose(0, 2, 1, 3, 4).node('Conv', [weight, graph.parameter('bias', [to])], {
      kernel_shape: [3, 3, 3],
      pads: [1, 1, 1, 1, 1, 1],
    });
    return convolved.transpose(0, 2, 1, 3, 4).reshape(-1, to, size);
  });
}

/** Residual block `name` over time, if the decoder has them: x `[frames, channels, h, w]`. */
export function optionalTemporalResNet(name: string, norm: Norm, windows: Windows | undefined): Layer {
  return when(windows?.config.temporal_blocks === true, () =>
    named(name, (x) => {
      const convolve = (layer: string) => threeFrameConvolution(layer, x.channels, windows!.frames);
      return x.plus(x.through(norm('norm1'), silu, convolve('conv1'), norm('norm2'), silu, convolve('conv2')));
    }),
  );
}

/** Attention `name` over the frames at each position, if the decoder has it: x `[frames, channels, h, w]`. */
export function optionalTemporalAttention(name: string, windows: Windows | undefined): Layer {
  return when(windows?.config.temporal_attention_block === true, () => temporalAttention(name, windows!));
}

/**
 * Single-head. The published code passes no latents to its norm, so it is a plain norm and its parameters for latents
 * stay unused.
 */
function temporalAttention(name: string, { frames, config }: Windows): Layer {
  return named(name, (x) => {
    const { graph, channels } = x;
    const normalized = x.through(plainNorm(config.groups)('norm'));
    for (const layer of ['norm.conv_y', 'norm.conv_b']) {
      graph.idleParameter(`${layer}.weight`, [channels, config.z_channels, 1, 1]);
      graph.idleParameter(`${layer}.bias`, [channels]);
    }
    const project = (layer: string) => byVideo(normalized.through(convolution1x1(layer, channels)), frames);
    const queries = project('q')
      .transpose(0, 3, 1, 2)
      .times(channels ** -0.5);
    const weights = attentionWeights(queries, project('k').transpose(0, 3, 2, 1));
    const attended = weights.matmul(project('v').transpose(0, 3, 1, 2));
    const byFrame = attended.transpose(0, 2, 3, 1).reshape(x.sizes(0, 4));
    return x.plus(byFrame.through(convolution1x1('proj_out', channels)));
  });
}
