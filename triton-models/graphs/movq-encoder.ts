import { type MovqConfig, movqEncoderInterface } from '../../services/pipeline/networks/movq.ts';
import type { Graph } from './graph.ts';
import { convolution, convolution1x1, convolution3x3 } from './layers.ts';
import { attentionBlock, type Norm, plainNorm, resNetBlock } from './movq-blocks.ts';
import { type Layer, named, silu, when } from './value.ts';

/** The served MoVQ encoder, see {@link movqEncoderInterface}: image `[n, 3, 8h, 8w]` → encoded `[n, z, h, w]`. */
export function movqEncoder(g: Graph, config: MovqConfig): void {
  const { inputs, outputs } = movqEncoderInterface(config);
  const { image } = g.takes(inputs);
  const encoded = image.through(named('encoder', encoder(config)), convolution1x1('quant_conv', config.z_channels));
  g.gives(outputs, { encoded });
}

function encoder(config: MovqConfig): Layer {
  const norm = plainNorm(config.groups);
  const levels = config.ch_mult.map((_, i) => level(i, config, norm));
  return (image) =>
    image.through(
      convolution3x3('conv_in', config.ch),
      ...levels,
      named('mid', middle(norm)),
      norm('norm_out'),
      silu,
      convolution3x3('conv_out', config.z_channels),
    );
}

/** The residual blocks of level `i`, with attention if the network has it at that size, and the down-sampling. */
function level(i: number, config: MovqConfig, norm: Norm): Layer {
  const to = config.ch * config.ch_mult[i]!;
  const hasAttention = config.attn_resolutions.includes(config.resolution / 2 ** i);
  const blocks = Array.from({ length: config.num_res_blocks }, (_, j): Layer => {
    return (x) =>
      x.through(
        resNetBlock(`down.${i}.block.${j}`, to, norm),
        when(hasAttention, () => attentionBlock(`down.${i}.attn.${j}`, norm)),
      );
  });
  // Padded only on the right and at the bottom.
  const halving = { to, kernel: 3, stride: 2, padding: [0, 0, 1, 1] };
  const isLast = i === config.ch_mult.length - 1;
  return (x) =>
    x.through(
      ...blocks,
      when(!isLast, () => convolution(`down.${i}.downsample.conv`, halving)),
    );
}

function middle(norm: Norm): Layer {
  return (x) =>
    x.through(
      resNetBlock('block_1', x.channels, norm),
      attentionBlock('attn_1', norm),
      resNetBlock('block_2', x.channels, norm),
    );
}
