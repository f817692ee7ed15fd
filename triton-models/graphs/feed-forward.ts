import { conditionalGroupNorm } from './conditional-group-norm.ts';
import { convolution1x1 } from './layers.ts';
import type { Conditions } from './unet-conditions.ts';
import { type Layer, silu } from './value.ts';

/** The second half of every attention block: norm `out_norm`, two 1×1 convolutions `feed_forward`, residual. */
export function feedForward({ config, time }: Conditions): Layer {
  return (x) =>
    x.plus(
      x.through(
        conditionalGroupNorm('out_norm', time, config.groups),
        convolution1x1('feed_forward.0', x.channels * config.expansion_ratio, { bias: false }),
        silu,
        convolution1x1('feed_forward.2', x.channels, { bias: false }),
      ),
    );
}
