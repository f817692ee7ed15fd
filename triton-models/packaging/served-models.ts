import type { modelNames, Preset } from '../../services/pipeline/preset.ts';
import { type NamedNetwork, presetNetworks } from '../networks/preset-networks.ts';
import { type CheckpointSource, checkpointSources } from './checkpoint-source.ts';

/** A model of the repository before it is built. */
export interface ServedModel extends NamedNetwork {
  /** Where its checkpoint is. */
  sources: readonly CheckpointSource[];
}

/**
 * The models that a preset is served with, their checkpoints taken from `folder` when one is given. Throws
 * FAILED_PRECONDITION naming the arguments of a network that can't be built.
 */
export function servedModels(preset: Preset, folder?: string): ServedModel[] {
  const sources = checkpointSources(preset, folder);
  const networks = Object.entries(presetNetworks(preset)) as [keyof typeof modelNames, NamedNetwork][];
  return networks.map(([key, network]) => ({ ...network, sources: sources[key] }));
}
