import type { z } from 'zod';
import { tryParse } from '../../services/kit/schema.ts';
import { decoderItems } from '../../services/pipeline/decoder-requests.ts';
import { keyframeItems } from '../../services/pipeline/keyframe-items.ts';
import { c3dInterface, c3dSchema, parseC3dConfig } from '../../services/pipeline/networks/c3d.ts';
import {
  clipImageInterface,
  clipSchema,
  clipTextInterface,
  parseClipConfig,
} from '../../services/pipeline/networks/clip.ts';
import { i3dInterface, i3dSchema, parseI3dConfig } from '../../services/pipeline/networks/i3d.ts';
import { lpipsInterface, lpipsSchema, parseLpipsConfig } from '../../services/pipeline/networks/lpips.ts';
import {
  type MovqConfig,
  movqDecoderInterface,
  movqEncoderInterface,
  movqSchema,
  movqVideoDecoderInterface,
  parseMovqConfig,
  parseVideoMovqConfig,
  type VideoMovqConfig,
  videoMovqSchema,
} from '../../services/pipeline/networks/movq.ts';
import {
  parsePublishedTextEncoder,
  parseT5Config,
  t5EncoderInterface,
  t5Schema,
} from '../../services/pipeline/networks/t5-encoder.ts';
import {
  interpolationUNetInterface,
  keyframeUNetInterface,
  parseUNetConfig,
  temporalConditionings,
  type UNetConfig,
  unetSchema,
} from '../../services/pipeline/networks/unet.ts';
import {
  firstFrameUNetInterface,
  interpolationUNet11Interface,
  interpolationUNet11Schema,
  isInterpolationUNet11,
  isKeyframeUNet11,
  keyframeUNet11Interface,
  keyframeUNet11Schema,
  parseInterpolationUNet11Config,
  parseKeyframeUNet11Config,
} from '../../services/pipeline/networks/unet-1.1.ts';
import type { firstFrameModelNames, modelNames, Preset } from '../../services/pipeline/preset.ts';
import { c3d, c3dAllowsHalf } from '../graphs/c3d.ts';
import { clipAllowsHalf, clipImage, clipText } from '../graphs/clip.ts';
import type { EnginePrecision } from '../graphs/engine-precision.ts';
import type { Graph } from '../graphs/graph.ts';
import type { HalfPrecisionRules } from '../graphs/half-precision-rules.ts';
import { i3d, i3dAllowsHalf } from '../graphs/i3d.ts';
import { interpolationUNet } from '../graphs/interpolation-unet.ts';
import { interpolationUNet11 } from '../graphs/interpolation-unet-1.1.ts';
import { keyframeUNet } from '../graphs/keyframe-unet.ts';
import { firstFrameUNet, keyframeUNet11, parametersForVideos } from '../graphs/keyframe-unet-1.1.ts';
import { lpips, lpipsAllowsHalf } from '../graphs/lpips.ts';
import { movqAllowsHalf } from '../graphs/movq-decode-latents.ts';
import { movqDecoder, movqVideoDecoder } from '../graphs/movq-decoder.ts';
import { movqEncoder } from '../graphs/movq-encoder.ts';
import { t5AllowsHalf, t5Encoder } from '../graphs/t5-encoder.ts';
import { unetAllowsHalf } from '../graphs/unet.ts';
import { architecture, type Network } from './architecture.ts';

/** What is common to a kind of networks. */
interface Family {
  title: string;
  /** Of its constructor arguments, which must fit one of these. */
  schemas: readonly z.ZodType[];
  allowsHalf: HalfPrecisionRules;
  enginePrecision: EnginePrecision;
}

export const families = {
  t5: { title: 'T5', schemas: [t5Schema], allowsHalf: t5AllowsHalf, enginePrecision: 'float16' },
  unet: {
    title: 'U-Net',
    schemas: [unetSchema, keyframeUNet11Schema, interpolationUNet11Schema],
    allowsHalf: unetAllowsHalf,
    enginePrecision: 'float16',
  },
  movq: {
    title: 'MoVQ',
    schemas: [movqSchema, videoMovqSchema],
    allowsHalf: movqAllowsHalf,
    // Its authors run it so: in half precision some weights give black pictures.
    enginePrecision: 'float32',
  },
  lpips: { title: 'LPIPS', schemas: [lpipsSchema], allowsHalf: lpipsAllowsHalf, enginePrecision: 'float16' },
  clip: { title: 'CLIP', schemas: [clipSchema], allowsHalf: clipAllowsHalf, enginePrecision: 'float16' },
  i3d: { title: 'I3D', schemas: [i3dSchema], allowsHalf: i3dAllowsHalf, enginePrecision: 'float16' },
  c3d: { title: 'C3D', schemas: [c3dSchema], allowsHalf: c3dAllowsHalf, enginePrecision: 'float16' },
} satisfies Record<string, Family>;

export type FamilyName = keyof typeof families;

/**
 * The kind of network that takes these constructor arguments, or, if none does, the one with the fewest faults.
 * Undefined if no kind knows any of them.
 */
export function familyOf(constructorArguments: object): FamilyName | undefined {
  const given = Object.keys(constructorArguments).length;
  const attempts = (Object.keys(families) as FamilyName[]).flatMap((name) =>
    families[name].schemas.map((schema) => {
      const parsed = tryParse(schema, constructorArguments);
      return { name, faults: 'value' in parsed ? [] : parsed.faults };
    }),
  );
  return attempts
    .filter(({ faults }) => faults.filter(({ mustBe }) => mustBe === undefined).length < given)
    .sort((one, other) => one.faults.length - other.faults.length)[0]?.name;
}

const clip = { ...enginesOf('clip'), parse: parseClipConfig };
const anyUNet = { ...enginesOf('unet'), maxBatchSize: 8 };
const unet = { ...anyUNet, parse: parseUNetConfig };
const keyframes11 = { ...anyUNet, parse: parseKeyframeUNet11Config };

function enginesOf(family: FamilyName): Pick<Family, 'allowsHalf' | 'enginePrecision'> {
  const { allowsHalf, enginePrecision } = families[family];
  return { allowsHalf, enginePrecision };
}

const movqEncoderParts = ['encoder.', 'quant_conv.'];
const imageDecoder = {
  ...enginesOf('movq'),
  parse: parseMovqConfig,
  build: movqDecoder,
  interface: movqDecoderInterface,
  others: () => movqEncoderParts,
  variants: decoderVariants,
};

/** The paper's decoders, of the image decoder's sizes. */
function decoderVariants(config: MovqConfig): Record<string, (g: Graph) => void> {
  const inTime = { temporal_kernel_size: [3, 1, 1], temporal_conv_padding: [1, 0, 0] };
  const variants: Record<string, object> = {
    'the image decoder': {},
    'the decoder with 3×1×1 convolutions': { temporal: true, ...inTime },
    'the decoder with 3×3×3 convolutions': { temporal: true },
    'the decoder with 3×1×1 convolutions and attention': { temporal: true, ...inTime, temporal_attention_block: true },
    'the decoder with 3×3×3 convolutions and attention': { temporal: true, temporal_attention_block: true },
    'the decoder with ResNet blocks and attention': { temporal_blocks: true, temporal_attention_block: true },
    'the decoder with 3D convolutions': { build_3D_decoder: true },
  };
  return Object.fromEntries(
    Object.entries(variants).map(([name, given]) => {
      const network = parseVideoMovqConfig('', { ...encoderArguments(config), ...given });
      return [name, (g) => movqVideoDecoder(g, network)];
    }),
  );
}

/** Kandinsky Video 1.1's MoVQ of images may be published with the arguments of its temporal one, all of them off. */
function parsePublishedMovq(field: string, given: unknown): unknown {
  const { temporal, temporal_blocks, temporal_attention_block, build_3D_decoder, ...config } = parseVideoMovqConfig(
    field,
    given,
  );
  return parseMovqConfig(field, {
    ...withoutTemporalShapes(config),
    ...(temporal && { temporal }),
    ...(temporal_blocks && { temporal_blocks }),
    ...(temporal_attention_block && { temporal_attention_block }),
    ...(build_3D_decoder && { build_3D_decoder }),
  });
}

const withoutTemporalShapes = ({
  temporal_mid_blocks: _mid,
  temporal_kernel_size: _kernel,
  temporal_conv_padding: _padding,
  flicker_augmentation: _flicker,
  ...config
}: Partial<VideoMovqConfig>) => config;

/** Every network that can be served. */
export const architectures = {
  t5Encoder: architecture({
    ...enginesOf('t5'),
    parse: parseT5Config,
    parsePublished: parsePublishedTextEncoder,
    build: t5Encoder,
    interface: t5EncoderInterface,
    maxBatchSize: 8,
  }),
  keyframeUNet: architecture({
    ...unet,
    build: keyframeUNet,
    interface: keyframeUNetInterface,
    variants: (config: UNetConfig) =>
      Object.fromEntries(
        temporalConditionings.map((name) => [name, (g) => keyframeUNet(g, { ...config, temporal_conditioning: name })]),
      ),
  }),
  interpolationUNet: architecture({
    ...unet,
    build: interpolationUNet,
    interface: interpolationUNetInterface,
    variants: ({ sequence_frames: _, ...config }: UNetConfig) => ({
      'groups of three': (g) => interpolationUNet(g, { ...config, num_channels: 20, out_channels: 12 }),
      'masked frames': (g) => interpolationUNet(g, { ...config, num_channels: 9, out_channels: 4, sequence_frames: 5 }),
    }),
  }),
  keyframeUNet11: architecture({
    ...keyframes11,
    build: keyframeUNet11,
    interface: keyframeUNet11Interface,
    others: () => ['image_in_layer.'],
  }),
  /** The same network for a single picture. */
  firstFrameUNet: architecture({
    ...keyframes11,
    build: firstFrameUNet,
    interface: firstFrameUNetInterface,
    others: parametersForVideos,
  }),
  interpolationUNet11: architecture({
    ...anyUNet,
    parse: parseInterpolationUNet11Config,
    build: interpolationUNet11,
    interface: interpolationUNet11Interface,
  }),
  /** An item is a frame. */
  movqDecoder: architecture({ ...imageDecoder, maxBatchSize: 16 }),
  /** The same for the first frame of a video, twice as wide and high as the video's own. */
  pictureDecoder: architecture({ ...imageDecoder, parsePublished: parsePublishedMovq, maxBatchSize: 4 }),
  pictureEncoder: architecture({
    ...enginesOf('movq'),
    parse: parseMovqConfig,
    parsePublished: parsePublishedMovq,
    build: movqEncoder,
    interface: movqEncoderInterface,
    others: () => ['decoder.', 'post_quant_conv.'],
    maxBatchSize: 4,
  }),
  /** An item is a window of several frames. */
  movqVideoDecoder: architecture({
    ...enginesOf('movq'),
    parse: parseVideoMovqConfig,
    build: movqVideoDecoder,
    interface: movqVideoDecoderInterface,
    others: () => movqEncoderParts,
    variants: decoderVariants,
    maxBatchSize: 4,
  }),
  lpips: architecture({
    ...enginesOf('lpips'),
    parse: parseLpipsConfig,
    build: lpips,
    interface: lpipsInterface,
    maxBatchSize: 16,
  }),
  clipImage: architecture({ ...clip, build: clipImage, interface: clipImageInterface, maxBatchSize: 32 }),
  clipText: architecture({ ...clip, build: clipText, interface: clipTextInterface, maxBatchSize: 32 }),
  i3d: architecture({
    ...enginesOf('i3d'),
    parse: parseI3dConfig,
    build: i3d,
    interface: i3dInterface,
    maxBatchSize: 4,
  }),
  c3d: architecture({
    ...enginesOf('c3d'),
    parse: parseC3dConfig,
    build: c3d,
    interface: c3dInterface,
    maxBatchSize: 4,
  }),
};

export type ArchitectureName = keyof typeof architectures;

/** The networks of a preset. */
export type PresetNetworks<N = Network> = Record<keyof typeof modelNames, N> &
  Partial<Record<keyof typeof firstFrameModelNames, N>>;

/** The networks of a preset. Throws FAILED_PRECONDITION naming the arguments of a network that can't be built. */
export function networksOf(preset: Preset): PresetNetworks {
  const { textEncoder, keyframes, interpolation, decoder } = preset;
  const { keyframeUNet, keyframeUNet11, interpolationUNet, interpolationUNet11 } = architectures;
  const ofKeyframes = isKeyframeUNet11(keyframes.network) ? keyframeUNet11 : keyframeUNet;
  const ofInterpolation = isInterpolationUNet11(interpolation.network) ? interpolationUNet11 : interpolationUNet;
  const decoding = decoder.kind === 'image' ? architectures.movqDecoder : architectures.movqVideoDecoder;
  return {
    textEncoder: {
      ...architectures.t5Encoder('textEncoder.network', textEncoder.network),
      stated: { tokens_length: textEncoder.maxTokens },
    },
    // Not more than one request: on a CPU, frames of several videos together take longer and more memory.
    keyframes: { ...ofKeyframes('keyframes.network', keyframes.network), maxBatchSize: keyframeItems(preset) },
    ...firstFrameNetworksOf(preset),
    interpolation: ofInterpolation('interpolation.network', interpolation.network),
    decoder: { ...decoding('decoder.network', decoder.network), maxBatchSize: decoderItems(preset) },
  };
}

function firstFrameNetworksOf({ keyframes, firstFrame, decoder }: Preset) {
  switch (firstFrame?.kind) {
    case 'conditioned':
      return {
        firstFrame: architectures.firstFrameUNet('keyframes.network', keyframes.network),
        pictureDecoder: architectures.pictureDecoder('firstFrame.network', firstFrame.network),
        pictureEncoder: architectures.pictureEncoder('firstFrame.network', firstFrame.network),
      };
    case 'inpainted':
      return { pictureEncoder: architectures.pictureEncoder('decoder.network', encoderArguments(decoder.network)) };
    case undefined:
      return {};
  }
}

/** The arguments of a MoVQ that its encoder depends on: the temporal kinds differ in the decoder alone. */
export function encoderArguments({
  double_z,
  z_channels,
  resolution,
  in_channels,
  out_ch,
  ch,
  ch_mult,
  num_res_blocks,
  attn_resolutions,
  groups,
}: MovqConfig): MovqConfig {
  return {
    double_z,
    z_channels,
    resolution,
    in_channels,
    out_ch,
    ch,
    ch_mult,
    num_res_blocks,
    attn_resolutions,
    groups,
  };
}
