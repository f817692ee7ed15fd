import { c3dSide, parseC3dConfig } from '../../services/pipeline/networks/c3d.ts';
import { parseClipConfig } from '../../services/pipeline/networks/clip.ts';
import { i3dSide, parseI3dConfig } from '../../services/pipeline/networks/i3d.ts';
import { parseLpipsConfig } from '../../services/pipeline/networks/lpips.ts';
import { parseMovqConfig, parseVideoMovqConfig } from '../../services/pipeline/networks/movq.ts';
import { parseT5Config } from '../../services/pipeline/networks/t5-encoder.ts';
import { parseUNetConfig } from '../../services/pipeline/networks/unet.ts';
import {
  parseInterpolationUNet11Config,
  parseKeyframeUNet11Config,
} from '../../services/pipeline/networks/unet-1.1.ts';
import { type Tensor, tensor } from '../../services/pipeline/tensor.ts';
import type { CheckpointPart } from '../checkpoints/checkpoint-weights.ts';
import { c3d } from '../graphs/c3d.ts';
import { clipImage, clipText } from '../graphs/clip.ts';
import type { Graph } from '../graphs/graph.ts';
import type { HalfPrecisionRules } from '../graphs/half-precision-rules.ts';
import { i3d } from '../graphs/i3d.ts';
import { interpolationUNetByFrame } from '../graphs/interpolation-unet.ts';
import { interpolationUNet11ByFrame } from '../graphs/interpolation-unet-1.1.ts';
import { keyframeUNetByFrame } from '../graphs/keyframe-unet.ts';
import { firstFrameUNetPublished, keyframeUNet11ByFrame, parametersForVideos } from '../graphs/keyframe-unet-1.1.ts';
import { lpips } from '../graphs/lpips.ts';
import { movqImageDecoder, movqWindowDecoder } from '../graphs/movq-decoder.ts';
import { movqEncoder } from '../graphs/movq-encoder.ts';
import { t5Encoder } from '../graphs/t5-encoder.ts';
import { type FamilyName, families, familyOf } from '../networks/architectures.ts';
import { brokenCase, type GoldenCase } from './golden-case.ts';

/** One call of a network, and the reference tensors to compare its results with. */
export interface NetworkCheck {
  network: string;
  build: (g: Graph) => void;
  allowsHalf: HalfPrecisionRules;
  parts: readonly CheckpointPart[];
  /** Prefixes of names in the checkpoint that belong to another network. */
  otherNetworks?: readonly string[];
  /** Inputs of the call, given the results of earlier calls. */
  feeds: (earlier: ReadonlyMap<string, Tensor>) => Promise<Record<string, Tensor>>;
  comparisons: readonly Comparison[];
}

export interface Comparison {
  /** Name of the reference tensor. */
  golden: string;
  /** What to compare with it: an output of the graph, or what one of its modules gave. */
  source: { output: string } | { module: string; meanOver?: readonly number[] };
  /** Only so many entries of the second axis are compared: the others are not part of the result. */
  keep?: number;
}

/** The calls that check the network of a case. Throws FAILED_PRECONDITION for a case that does not describe a network. */
export async function networkChecks(golden: GoldenCase): Promise<NetworkCheck[]> {
  const given = Object.hasOwn(golden.config, 'constructor') ? golden.config.constructor : undefined;
  if (typeof given !== 'object' || given === null) {
    throw brokenCase(
      `${golden.folder}: config.json has no "constructor": it does not describe a network (tables and sampling loops are ` +
        'checked by the tests of services/diffusion)',
    );
  }
  const family = familyOf(given);
  if (family === undefined) {
    const known = Object.values(families).map(({ title }) => title);
    throw brokenCase(`${golden.folder}: config.json's "constructor" fits no known network (${known.join(', ')})`);
  }
  const { allowsHalf } = families[family];
  const calls = await callsOf[family](golden, given);
  return calls.map((call) => ({ ...call, allowsHalf }));
}

/** The calls that check each kind of network. */
const callsOf: Record<FamilyName, (golden: GoldenCase, constructorArguments: object) => Promise<NetworkCall[]>> = {
  t5: t5Calls,
  unet: async (golden, given) => [await unetCall(golden, given)],
  movq: movqCalls,
  lpips: async (golden, given) => [await lpipsCall(golden, given)],
  clip: clipCalls,
  i3d: async (golden, given) => [await i3dCall(golden, given)],
  c3d: async (golden, given) => [await c3dCall(golden, given)],
};

type NetworkCall = Omit<NetworkCheck, 'allowsHalf'>;

async function unetCall(golden: GoldenCase, architecture: object): Promise<NetworkCall> {
  return {
    parts: [{ file: await golden.checkpoint('weights') }],
    comparisons: [{ golden: 'output', source: { output: 'output' } }, ...intermediates(golden)],
    ...unetOf(golden, architecture),
    feeds: async () => ({
      ...(await tensorsOf(golden, unetInputs(golden))),
      context_mask: asBooleans(await golden.tensor('context_mask')),
    }),
  };
}

/** The inputs that a case has; the others were not given to the network. */
function unetInputs({ io }: GoldenCase): string[] {
  const known = ['x', 'time', 'context', 'temporal_embed', 'noise_aug_time', 'motion_score', 'perturbation_time'];
  return [...known, 'perturbation', 'skip_frames', 'temporal_mask'].filter((name) => io.tensors.has(name));
}

/** The U-Net of a case: the arguments of its call tell which. */
function unetOf(golden: GoldenCase, architecture: object): Pick<NetworkCall, 'network' | 'build' | 'otherNetworks'> {
  if (golden.io.tensors.has('temporal_mask')) {
    const config = parseInterpolationUNet11Config('constructor', architecture);
    const groups = callArgument(golden, 'num_predicted_groups');
    return {
      network: 'interpolation U-Net of 1.1',
      build: (g) => interpolationUNet11ByFrame(g, config, groups),
    };
  }
  if ('noise_augmentation' in architecture || 'motion_score' in architecture) {
    const config = parseKeyframeUNet11Config('constructor', architecture);
    if (!golden.io.tensors.has('temporal_embed')) {
      return {
        network: 'first frame U-Net of 1.1',
        build: (g) => firstFrameUNetPublished(g, config),
        otherNetworks: parametersForVideos(config),
      };
    }
    const frames = callArgument(golden, 'num_frames');
    return {
      network: 'keyframe U-Net of 1.1',
      build: (g) => keyframeUNet11ByFrame(g, config, frames),
      otherNetworks: ['image_in_layer.'],
    };
  }
  const config = parseUNetConfig('constructor', architecture);
  if (!config.interpolation) {
    return { network: 'keyframe U-Net', build: (g) => keyframeUNetByFrame(g, config) };
  }
  const groups = callArgument(golden, 'num_temporal_groups');
  return { network: 'interpolation U-Net', build: (g) => interpolationUNetByFrame(g, config, groups) };
}

function callArgument(golden: GoldenCase, name: string): number {
  const value = (golden.config.forward_args as Record<string, unknown> | undefined)?.[name];
  if (typeof value !== 'number' || !Number.isInteger(value)) {
    throw brokenCase(`${golden.folder}: forward_args.${name} must be an integer (got ${value})`);
  }
  return value;
}

async function movqCalls(golden: GoldenCase, architecture: object): Promise<NetworkCall[]> {
  const { config, inputs, ...named } = movqDecoderOf(golden, architecture);
  const parts = [{ file: await golden.checkpoint('weights') }];
  const decoder = { ...named, parts, otherNetworks: ['encoder.', 'quant_conv.'] };
  const calls: NetworkCall[] = [
    {
      network: 'MoVQ encoder',
      build: (g) => movqEncoder(g, config),
      parts,
      otherNetworks: ['decoder.', 'post_quant_conv.'],
      feeds: () => tensorsOf(golden, ['image']),
      comparisons: [{ golden: 'encoded', source: { output: 'encoded' } }, ...intermediates(golden, 'encoder.')],
    },
    {
      ...decoder,
      feeds: () => tensorsOf(golden, inputs),
      comparisons: [{ golden: 'decoded', source: { output: 'decoded' } }, ...intermediates(golden, 'decoder.')],
    },
    {
      ...decoder,
      feeds: async (earlier) => ({ latents: earlier.get('encoded') ?? (await golden.tensor('encoded')) }),
      comparisons: [{ golden: 'decoded_of_encoded', source: { output: 'decoded' } }],
    },
  ];
  // A checkpoint may come with references for only one half of the network.
  return calls.filter(({ comparisons }) => golden.io.tensors.has(comparisons[0]!.golden));
}

/** The decoder of a case: the image decoder, or the video decoder if the case has a number of frames. */
function movqDecoderOf(golden: GoldenCase, architecture: object) {
  if (!('num_frames' in golden.config)) {
    const config = parseMovqConfig('constructor', architecture);
    return { config, network: 'MoVQ decoder', build: (g: Graph) => movqImageDecoder(g, config), inputs: ['latents'] };
  }
  const config = parseVideoMovqConfig('constructor', architecture);
  const hasAugmentation = golden.io.tensors.has('aug_emb');
  return {
    config,
    network: 'MoVQ temporal decoder',
    build: (g: Graph) => movqWindowDecoder(g, config, hasAugmentation),
    inputs: hasAugmentation ? ['latents', 'aug_emb'] : ['latents'],
  };
}

async function t5Calls(golden: GoldenCase, architecture: object): Promise<NetworkCall[]> {
  const { layer_norm_epsilon, context_dim, embedding_name, sets } = golden.config;
  const config = parseT5Config('constructor', { ...architecture, layer_norm_epsilon, context_dim, embedding_name });
  const parts = [
    { file: await golden.checkpoint('weights') },
    { file: await golden.checkpoint('projections'), prefix: 'projections.' },
  ];
  return await Promise.all(
    Object.keys((sets ?? {}) as object).map(async (set): Promise<NetworkCall> => {
      const mask = asBooleans(await golden.tensor(`${set}.attention_mask`));
      const states = [...golden.io.tensors.keys()].filter((name) => name.startsWith(`${set}.hidden_states.`));
      return {
        network: 'T5 encoder',
        build: (g) => t5Encoder(g, config),
        parts,
        feeds: async () => ({ input_ids: await golden.tensor(`${set}.input_ids`), attention_mask: mask }),
        comparisons: [
          { golden: `${set}.context`, source: { output: 'context' }, keep: contextLength(mask) },
          { golden: `${set}.last_hidden_state`, source: { module: 'last_hidden_state' } },
          ...states.map((name) => ({ golden: name, source: { module: name.slice(set.length + 1) } })),
        ],
      };
    }),
  );
}

async function lpipsCall(golden: GoldenCase, architecture: object): Promise<NetworkCall> {
  const config = parseLpipsConfig('constructor', architecture);
  return {
    network: 'LPIPS',
    build: (g) => lpips(g, config),
    parts: [{ file: await golden.checkpoint('weights') }],
    feeds: async () => ({ reference: await golden.tensor('a'), candidate: await golden.tensor('b') }),
    comparisons: [
      { golden: 'distance', source: { output: 'distance' } },
      { golden: 'layers', source: { output: 'layers' } },
    ],
  };
}

async function clipCalls(golden: GoldenCase, architecture: object): Promise<NetworkCall[]> {
  const config = parseClipConfig('constructor', architecture);
  const parts = [{ file: await golden.checkpoint('weights') }];
  return [
    {
      network: 'CLIP image tower',
      build: (g) => clipImage(g, config),
      parts,
      otherNetworks: ['text_model.', 'text_projection.', 'logit_scale'],
      feeds: () => tensorsOf(golden, ['pixel_values']),
      comparisons: [{ golden: 'image_embeds', source: { output: 'image_embeds' } }],
    },
    {
      network: 'CLIP text tower',
      build: (g) => clipText(g, config),
      parts,
      otherNetworks: ['vision_model.', 'visual_projection.', 'logit_scale'],
      feeds: () => tensorsOf(golden, ['input_ids']),
      comparisons: [{ golden: 'text_embeds', source: { output: 'text_embeds' } }],
    },
  ];
}

async function i3dCall(golden: GoldenCase, architecture: object): Promise<NetworkCall> {
  const config = parseI3dConfig('constructor', architecture);
  const pooled = [...golden.io.tensors.keys()].filter((name) => name.startsWith('pooled.'));
  return {
    network: 'I3D',
    build: (g) => i3d(g, config),
    parts: [{ file: await golden.checkpoint('weights') }],
    feeds: async () => ({ video: enlarge(await golden.tensor('small'), i3dSide) }),
    comparisons: [
      { golden: 'logits_mean', source: { output: 'logits' } },
      ...pooled.map((name) => ({
        golden: name,
        source: { module: name.slice('pooled.'.length), meanOver: [3, 4] },
      })),
    ],
  };
}

async function c3dCall(golden: GoldenCase, architecture: object): Promise<NetworkCall> {
  const config = parseC3dConfig('constructor', architecture);
  return {
    network: 'C3D',
    build: (g) => c3d(g, config),
    parts: [{ file: await golden.checkpoint('weights') }],
    feeds: async () => ({ video: enlarge(await golden.tensor('small'), c3dSide) }),
    comparisons: ['logits', 'features'].map((name) => ({ golden: name, source: { output: name } })),
  };
}

/** Pictures in the last two axes, square, enlarged to this side by repeating pixels. */
function enlarge({ shape, data }: Tensor, side: number): Tensor<'float32'> {
  const small = shape.at(-1)!;
  const values = data as Float32Array;
  const at = (i: number) => Math.floor((i * small) / side);
  const large = Float32Array.from({ length: (values.length / small ** 2) * side ** 2 }, (_, i) => {
    const [x, y, picture] = [i % side, Math.floor(i / side) % side, Math.floor(i / side ** 2)];
    return values[(picture * small + at(y)) * small + at(x)]!;
  });
  return tensor('float32', [...shape.slice(0, -2), side, side], large);
}

/** The context is cut one token after the longest text's last. */
function contextLength(mask: Tensor<'bool'>): number {
  const tokens = mask.shape[1]!;
  let longest = 0;
  for (let start = 0; start < mask.data.length; start += tokens) {
    const count = mask.data.subarray(start, start + tokens).reduce((sum, bit) => sum + bit, 0);
    longest = Math.max(longest, count);
  }
  return Math.min(tokens, longest + 1);
}

function intermediates(golden: GoldenCase, prefix = ''): Comparison[] {
  return [...golden.io.tensors.keys()]
    .filter((name) => name.startsWith(`mid.${prefix}`))
    .map((name) => ({ golden: name, source: { module: name.slice('mid.'.length) } }));
}

async function tensorsOf(golden: GoldenCase, names: readonly string[]): Promise<Record<string, Tensor>> {
  const entries = await Promise.all(names.map(async (name) => [name, await golden.tensor(name)] as const));
  return Object.fromEntries(entries);
}

function asBooleans(mask: Tensor): Tensor<'bool'> {
  return { dataType: 'bool', shape: mask.shape, data: Uint8Array.from(mask.data as Iterable<never>, Number) };
}
