import { existsSync, readFileSync } from 'node:fs';
import { dirname, join, normalize } from 'node:path';
import { Status } from 'nice-grpc-common';
import { z } from 'zod';
import { FusionError } from '../../services/kit/errors.ts';
import { parseSchema } from '../../services/kit/schema.ts';
import { modelNames, type Preset, presetPath } from '../../services/pipeline/preset.ts';

const relativePath = z.string().refine((path) => path !== '' && normalize(path) === path && !/^(\/|\.\.)/.test(path), {
  error: 'must be a path inside the folder',
});

const part = z.strictObject({
  /** File or folder of the tensors. */
  checkpoint: relativePath,
  /**
   * Prefixes of published names and their replacements; the longest match counts. If several tensors end up with one
   * name, the first prefix wins.
   */
  names: z.record(z.string(), z.string()),
  /** Prefixes of published names that belong to other networks. */
  others: z.array(z.string()),
});

const repository = z.strictObject({
  name: z.string().regex(/^[\w.-]+\/[\w.-]+$/),
  /** Branch, tag or commit. */
  revision: z.string(),
  /** Paths in the repository, and where each file goes in the checkpoint folder. */
  files: z.record(relativePath, relativePath),
  /** Folder for the repository's own checkpoint: one file or shards, in either format. */
  checkpoint: relativePath.optional(),
});

const sourcesSchema = z.strictObject({
  repositories: z.array(repository).min(1),
  models: z.strictObject(Object.fromEntries(Object.values(modelNames).map((name) => [name, z.array(part).min(1)]))),
});

/** The published files of a preset, and which of their tensors its networks use. */
export type PresetSources = z.infer<typeof sourcesSchema>;
export type SourceRepository = z.infer<typeof repository>;

/**
 * Reads the sources of a preset from the file with its name in the sibling folder `sources`; undefined if there is
 * none. Throws FAILED_PRECONDITION naming each fault of that file.
 */
export function presetSources(preset: Preset): PresetSources | undefined {
  const file = join(preset.folder, '..', 'sources', `${preset.name}.json`);
  if (!existsSync(file)) {
    return undefined;
  }
  try {
    return parseSchema(sourcesSchema, JSON.parse(readFileSync(file, 'utf8')));
  } catch (error) {
    throw new FusionError(
      Status.FAILED_PRECONDITION,
      `preset: ${file} does not describe sources: ${(error as Error).message}`,
      {
        reason: 'INVALID_PRESET',
        field: 'preset',
        cause: error,
      },
    );
  }
}

/** Default folder for a preset's published files, where its weights are looked up. */
export function defaultCheckpointFolder(preset: Preset): string {
  return dirname(presetPath(preset, preset.weights.keyframes));
}
