import { invalidField } from '../../services/kit/errors.ts';
import { listPresets, loadPreset, type Preset } from '../../services/pipeline/preset.ts';
import type { Network } from '../networks/architecture.ts';
import { type ArchitectureName, architectures } from '../networks/architectures.ts';
import { type FeatureNetworks, listFeatureNetworks, loadFeatureNetworks } from '../sources/feature-networks.ts';
import { defaultCheckpointFolder, presetSources } from '../sources/preset-sources.ts';
import { type PublishedSources, readSources } from '../sources/published-sources.ts';
import { publishedParts } from './checkpoint-source.ts';
import { type ServedModel, servedModels } from './served-models.ts';

/** Models that are published, pulled and built together: those of a preset, or networks that judge videos. */
export interface ModelSet {
  name: string;
  /** Undefined where nothing is published. */
  sources: PublishedSources | undefined;
  /** Absolute; default folder for the published files. */
  checkpointFolder: string;
  /**
   * Their checkpoints taken from `folder` when one is given. Throws FAILED_PRECONDITION naming the arguments of a network
   * that can't be built.
   */
  models(folder?: string): ServedModel[];
}

export function presetModels(preset: Preset): ModelSet {
  return {
    name: preset.name,
    sources: presetSources(preset),
    checkpointFolder: defaultCheckpointFolder(preset),
    models: (folder) => servedModels(preset, folder),
  };
}

export function featureModels(networks: FeatureNetworks): ModelSet {
  const { name, models, checkpointFolder, sourcesFile } = networks;
  const sources = readSources(sourcesFile, Object.keys(models));
  const served = (model: string, folder: string): ServedModel => {
    const parts = sources?.models[model] ?? [{ checkpoint: `${model}.safetensors`, names: { '': '' }, others: [] }];
    return { name: model, ...networkOf(networks, model), sources: publishedParts(parts, folder) };
  };
  return {
    name,
    sources,
    checkpointFolder,
    models: (folder = checkpointFolder) => Object.keys(models).map((model) => served(model, folder)),
  };
}

function networkOf({ name, models }: FeatureNetworks, model: string): Network {
  const { architecture, network } = models[model]!;
  if (!Object.hasOwn(architectures, architecture)) {
    const field = `models.${model}.architecture`;
    throw invalidField(field, architecture, `one of ${Object.keys(architectures).join(', ')}, in ${name}`);
  }
  return architectures[architecture as ArchitectureName](`models.${model}.network`, network);
}

/**
 * The first model of this architecture: its name and its checked constructor arguments. Throws INVALID_ARGUMENT where there
 * is none.
 *
 * @param field where the networks were named
 */
export function modelOf(
  networks: FeatureNetworks,
  architecture: ArchitectureName,
  field = 'network',
): { name: string; config: unknown } {
  const found = Object.entries(networks.models).find(([, each]) => each.architecture === architecture);
  if (found === undefined) {
    throw invalidField(field, networks.name, `networks with a model of the architecture ${architecture}`);
  }
  return { name: found[0], config: networkOf(networks, found[0]).config };
}

/** Whether a name refers to networks that judge videos, not to a preset. */
export function isFeatureNetworks(name: string): boolean {
  return listFeatureNetworks().includes(name);
}

/** Throws INVALID_ARGUMENT for an unknown name or an invalid preset. */
export function loadModelSet(nameOrPath: string, field = 'preset'): ModelSet {
  if (isFeatureNetworks(nameOrPath)) {
    return featureModels(loadFeatureNetworks(nameOrPath));
  }
  if (!nameOrPath.endsWith('.json') && !listPresets().includes(nameOrPath)) {
    const names = [...listPresets(), ...listFeatureNetworks()].join(', ');
    throw invalidField(field, nameOrPath, `one of ${names}, or the path of a preset's .json file`);
  }
  return presetModels(loadPreset(nameOrPath, field));
}
