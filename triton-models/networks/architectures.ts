import {
  movqDecoderInterface,
  movqVideoDecoderInterface,
  parseMovqConfig,
  parseVideoMovqConfig,
} from '../../services/pipeline/networks/movq.ts';
import { parseT5Config, t5EncoderInterface } from '../../services/pipeline/networks/t5-encoder.ts';
import {
  interpolationUNetInterface,
  keyframeUNetInterface,
  parseUNetConfig,
} from '../../services/pipeline/networks/unet.ts';
import { interpolationUNet } from '../graphs/interpolation-unet.ts';
import { keyframeUNet } from '../graphs/keyframe-unet.ts';
import { movqAllowsHalf } from '../graphs/movq-decode-latents.ts';
import { movqDecoder, movqVideoDecoder } from '../graphs/movq-decoder.ts';
import { t5AllowsHalf, t5Encoder } from '../graphs/t5-encoder.ts';
import { unetAllowsHalf } from '../graphs/unet.ts';
import { architecture } from './architecture.ts';

const unet = { parse: parseUNetConfig, maxBatchSize: 8, allowsHalf: unetAllowsHalf };

/** Every network that can be served. */
export const architectures = {
  t5Encoder: architecture({
    parse: parseT5Config,
    build: t5Encoder,
    interface: t5EncoderInterface,
    maxBatchSize: 8,
    allowsHalf: t5AllowsHalf,
  }),
  keyframeUNet: architecture({ ...unet, build: keyframeUNet, interface: keyframeUNetInterface }),
  interpolationUNet: architecture({ ...unet, build: interpolationUNet, interface: interpolationUNetInterface }),
  /** An item is a frame. */
  movqDecoder: architecture({
    parse: parseMovqConfig,
    build: movqDecoder,
    interface: movqDecoderInterface,
    allowsHalf: movqAllowsHalf,
    maxBatchSize: 16,
  }),
  /** An item is a window of several frames. */
  movqVideoDecoder: architecture({
    parse: parseVideoMovqConfig,
    build: movqVideoDecoder,
    interface: movqVideoDecoderInterface,
    allowsHalf: movqAllowsHalf,
    maxBatchSize: 4,
  }),
};
