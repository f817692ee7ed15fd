import type { ModelKey, Preset } from '../../services/pipeline/preset.ts';
import { type NamedNetwork, presetNetworks } from '../networks/preset-networks.ts';
import { type CheckpointSource, checkpointSources } from './checkpoint-source.ts';

/** A model of the repository, before it is built. */
export interface ServedModel extends NamedNetwork {
  /** Location of its checkpoint. */
  sources: readonly CheckpointSource[];
  /** Sentences about how it differs from the preset's. */
  notes?: readonly string[];
}

/**
 * The models that serve a preset, with checkpoints from `folder` if given. Throws FAILED_PRECONDITION naming the
 * arguments of a network that cannot be built.
 */
export function servedModels(preset: Preset, folder?: string): ServedModel[] {
  const sources = checkpointSources(preset, folder);
  const networks = Object.entries(presetNetworks(preset)) as [ModelKey, NamedNetwork][];
  return networks.map(([key, network]) => ({ ...network, sources: sources[key]! }));
}
