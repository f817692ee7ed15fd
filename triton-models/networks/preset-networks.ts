import { modelNames, type Preset } from '../../services/pipeline/preset.ts';
import { ParameterList } from '../checkpoints/parameter-list.ts';
import { Graph } from '../graphs/graph.ts';
import type { Network } from './architecture.ts';
import { architectures } from './architectures.ts';

/** A network of a preset, under the name that its model has in a repository. */
export interface NamedNetwork extends Network {
  name: string;
}

/**
 * The networks of a preset, in the order of the pipeline. Throws FAILED_PRECONDITION naming the arguments of a network
 * that can't be built.
 */
export function presetNetworks(preset: Preset): Record<keyof typeof modelNames, NamedNetwork> {
  const { textEncoder, keyframes, interpolation, decoder } = preset;
  const decoding = decoder.kind === 'image' ? architectures.movqDecoder : architectures.movqVideoDecoder;
  const networks = {
    textEncoder: architectures.t5Encoder('textEncoder.network', textEncoder.network),
    keyframes: architectures.keyframeUNet('keyframes.network', keyframes.network),
    interpolation: architectures.interpolationUNet('interpolation.network', interpolation.network),
    decoder: decoding('decoder.network', decoder.network),
  };
  return {
    textEncoder: { name: modelNames.textEncoder, ...networks.textEncoder },
    keyframes: { name: modelNames.keyframes, ...networks.keyframes },
    interpolation: { name: modelNames.interpolation, ...networks.interpolation },
    decoder: { name: modelNames.decoder, ...networks.decoder },
  };
}

/** The parameters that a network has, found without any weights. */
export function parametersOf({ name, build }: Pick<NamedNetwork, 'name' | 'build'>): ParameterList {
  const list = new ParameterList();
  build(new Graph(name, list));
  return list;
}
