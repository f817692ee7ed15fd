import type { UNetSizes } from '../../services/pipeline/networks/unet.ts';
import { conditionalGroupNorm, type Embedding } from './conditional-group-norm.ts';
import { convolution1x1 } from './layers.ts';
import { type Layer, silu } from './value.ts';

/** The second half of every attention block: a norm and two 1×1 convolutions `feed_forward`. */
export function feedForward(norm: string, embedding: Embedding, config: UNetSizes): Layer {
  return (x) =>
    x.through(
      conditionalGroupNorm(norm, embedding, config.groups),
      convolution1x1('feed_forward.0', x.channels * config.expansion_ratio, { bias: false }),
      silu,
      convolution1x1('feed_forward.2', x.channels, { bias: false }),
    );
}

/** The same, added to its input. */
export function residualFeedForward(norm: string, embedding: Embedding, config: UNetSizes): Layer {
  return (x) => x.plus(x.through(feedForward(norm, embedding, config)));
}
