import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { basename, dirname, join, resolve } from 'node:path';
import { z } from 'zod';
import { invalidField } from '../../services/kit/errors.ts';
import { packageRoot } from '../../services/kit/package-root.ts';
import { parseJson } from '../../services/kit/parse-json.ts';
import { reasonOf } from '../../services/kit/reason-of.ts';
import { parseSchema } from '../../services/kit/schema.ts';
import { modelsFolder } from '../../services/pipeline/models-folder.ts';

const schema = z.strictObject({
  description: z.string(),
  /** By the names that the models have in a repository. */
  models: z.record(z.string(), z.strictObject({ architecture: z.string(), network: z.unknown() })),
  /** Name of its tokenizer's file among the published ones. */
  tokenizer: z.string().optional(),
  /** Folder of its checkpoint, relative to this file; default: where `pull` puts published files. */
  checkpoint: z.string().optional(),
});

/** Networks that judge videos and are published together: the counterpart of a preset. */
export interface FeatureNetworks extends z.infer<typeof schema> {
  name: string;
  /** File that describes what is published, see `published-sources.ts`. */
  sourcesFile: string;
  /** Absolute; where its published files are pulled to. */
  checkpointFolder: string;
}

const folder = join(packageRoot, 'triton-models', 'feature-networks');

/** Names of those that come with the project. */
export function listFeatureNetworks(): string[] {
  return readdirSync(folder)
    .map((file) => basename(file, '.json'))
    .sort();
}

/**
 * Reads networks that judge videos by their name or by the path of their `.json` file. Throws INVALID_ARGUMENT for an
 * unknown name and an invalid file.
 *
 * @param field where the name was given
 */
export function loadFeatureNetworks(nameOrPath: string, field = 'network'): FeatureNetworks {
  const isPath = nameOrPath.endsWith('.json');
  const file = isPath ? resolve(nameOrPath) : join(folder, `${nameOrPath}.json`);
  if ((!isPath && !/^[\w.-]+$/.test(nameOrPath)) || !existsSync(file)) {
    throw invalidField(field, nameOrPath, `one of ${listFeatureNetworks().join(', ')}, or the path of a .json file`);
  }
  const name = basename(file, '.json');
  const parsed = parse(file, field);
  return {
    ...parsed,
    name,
    sourcesFile: join(dirname(file), '..', 'sources', `${name}.json`),
    checkpointFolder:
      parsed.checkpoint === undefined
        ? join(modelsFolder(), 'weights', name)
        : resolve(dirname(file), parsed.checkpoint),
  };
}

function parse(file: string, field: string): z.infer<typeof schema> {
  try {
    return parseSchema(schema, parseJson(readFileSync(file, 'utf8')));
  } catch (error) {
    throw invalidField(field, file, `a description of networks that judge videos (${reasonOf(error)})`);
  }
}
