import { type ModelKey, modelNamesOf, type Preset } from '../../services/pipeline/preset.ts';
import { ParameterList } from '../checkpoints/parameter-list.ts';
import { Graph } from '../graphs/graph.ts';
import type { Network } from './architecture.ts';
import { networksOf, type PresetNetworks } from './architectures.ts';

/** A network of a preset, with its model's name in a repository. */
export interface NamedNetwork extends Network {
  name: string;
}

/**
 * The networks of a preset, in pipeline order. Throws FAILED_PRECONDITION naming the arguments of a network that cannot
 * be built.
 */
export function presetNetworks(preset: Preset): PresetNetworks<NamedNetwork> {
  const names = modelNamesOf(preset);
  const networks = Object.entries(networksOf(preset)) as [ModelKey, Network][];
  const named = networks.map(([key, network]) => [key, { name: names[key]!, ...network }] as const);
  return Object.fromEntries(named) as PresetNetworks<NamedNetwork>;
}

// Building the graph of a large network takes a second, and a repository's build asks several times.
const knownParameters = new WeakMap<Network['build'], ParameterList>();

/** The parameters of a network, determined without weights. */
export function parametersOf({ name, build }: Pick<NamedNetwork, 'name' | 'build'>): Pick<ParameterList, 'count'> & {
  shapes: ReadonlyMap<string, readonly number[]>;
} {
  let list = knownParameters.get(build);
  if (list === undefined) {
    list = new ParameterList();
    build(new Graph(name, list));
    knownParameters.set(build, list);
  }
  return list;
}
