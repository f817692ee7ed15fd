import { join } from 'node:path';
import { invalidField } from '../../services/kit/errors.ts';
import { packageRoot } from '../../services/kit/package-root.ts';
import { listPresets, loadPreset, type Preset } from '../../services/pipeline/preset.ts';
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

export function featureModels({ name, models, checkpointFolder }: FeatureNetworks): ModelSet {
  const file = join(packageRoot, 'triton-models', 'sources', `${name}.json`);
  const sources = readSources(file, Object.keys(models))!;
  return {
    name,
    sources,
    checkpointFolder,
    models: (folder = checkpointFolder) =>
      Object.entries(models).map(([model, { architecture, network }]) => ({
        name: model,
        ...architectures[architecture as ArchitectureName](`${model}.network`, network),
        sources: publishedParts(sources.models[model]!, folder),
      })),
  };
}

/** Whether a name is that of networks that judge videos, not of a preset. */
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
