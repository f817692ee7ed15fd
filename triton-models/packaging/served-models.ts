import { modelNames, type Preset } from '../../services/pipeline/preset.ts';
import { ParameterList } from '../checkpoints/parameter-list.ts';
import { Graph } from '../graphs/graph.ts';
import { interpolationUNet } from '../graphs/interpolation-unet.ts';
import { keyframeUNet } from '../graphs/keyframe-unet.ts';
import { movqDecoder, movqVideoDecoder } from '../graphs/movq-decoder.ts';
import {
  type MovqConfig,
  parseMovqConfig,
  parseT5Config,
  parseUNetConfig,
  parseVideoMovqConfig,
} from '../graphs/network-configs.ts';
import { t5Encoder } from '../graphs/t5-encoder.ts';
import { checkNetworks } from './check-networks.ts';
import { type CheckpointSource, checkpointSources } from './checkpoint-source.ts';

/** A model of the repository before it is built. */
export interface ServedModel {
  name: string;
  build: (g: Graph) => void;
  /** The published constructor arguments, which with the weights decide what is built. */
  network: unknown;
  /** Where its checkpoint is. */
  sources: readonly CheckpointSource[];
  /** Items that the server may put into one call. */
  maxBatchSize: number;
}

/**
 * The models that a preset is served with, their checkpoints taken from `folder` when one is given. Throws
 * FAILED_PRECONDITION naming the arguments of a network that can't be built.
 */
export function servedModels(preset: Preset, folder?: string): ServedModel[] {
  const { textEncoder, keyframes, interpolation, decoder } = preset;
  const sources = checkpointSources(preset, folder);
  const text = parseT5Config('textEncoder.network', textEncoder.network);
  const key = parseUNetConfig('keyframes.network', keyframes.network);
  const between = parseUNetConfig('interpolation.network', interpolation.network);
  const decoding = decoderModel(decoder);
  checkNetworks(preset, { text, keyframes: key, interpolation: between, decoder: decoding.network });
  return [
    {
      name: modelNames.textEncoder,
      build: (g) => t5Encoder(g, text),
      network: text,
      sources: sources.textEncoder,
      maxBatchSize: 8,
    },
    {
      name: modelNames.keyframes,
      build: (g) => keyframeUNet(g, key),
      network: key,
      sources: sources.keyframes,
      maxBatchSize: 8,
    },
    {
      name: modelNames.interpolation,
      build: (g) => interpolationUNet(g, between),
      network: between,
      sources: sources.interpolation,
      maxBatchSize: 8,
    },
    {
      name: modelNames.decoder,
      ...decoding,
      sources: sources.decoder,
    },
  ];
}

/** An item of the image decoder is a frame, one of the temporal decoder a window of several. */
function decoderModel({
  kind,
  network,
}: Preset['decoder']): Pick<ServedModel, 'build' | 'maxBatchSize'> & { network: MovqConfig } {
  if (kind === 'image') {
    const movq = parseMovqConfig('decoder.network', network);
    return { build: (g) => movqDecoder(g, movq), network: movq, maxBatchSize: 16 };
  }
  const movq = parseVideoMovqConfig('decoder.network', network);
  return { build: (g) => movqVideoDecoder(g, movq), network: movq, maxBatchSize: 4 };
}

/** The parameters that a model's network has, found without any weights. */
export function parametersOf(model: ServedModel): ParameterList {
  const list = new ParameterList();
  model.build(new Graph(model.name, list));
  return list;
}
