import { dirname, join } from 'node:path';
import { modelNamesOf, type Preset, presetPath } from '../../services/pipeline/preset.ts';
import { type PublishedSources, readSources } from './published-sources.ts';

/**
 * Reads the sources of a preset from the file with its name in the sibling folder `sources`; undefined if there is
 * none. Throws FAILED_PRECONDITION naming each fault of that file.
 */
export function presetSources(preset: Preset): PublishedSources | undefined {
  return readSources(join(preset.folder, '..', 'sources', `${preset.name}.json`), Object.values(modelNamesOf(preset)));
}

/** Default folder for a preset's published files, where its weights are looked up. */
export function defaultCheckpointFolder(preset: Preset): string {
  return dirname(presetPath(preset, preset.weights.keyframes));
}
