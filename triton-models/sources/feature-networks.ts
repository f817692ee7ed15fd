import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { z } from 'zod';
import { invalidField } from '../../services/kit/errors.ts';
import { packageRoot } from '../../services/kit/package-root.ts';
import { parseSchema } from '../../services/kit/schema.ts';
import { modelsFolder } from '../../services/pipeline/models-folder.ts';

const schema = z.strictObject({
  description: z.string(),
  /** By the names that the models have in a repository. */
  models: z.record(z.string(), z.strictObject({ architecture: z.string(), network: z.unknown() })),
  /** Name of its tokenizer's file among the published ones. */
  tokenizer: z.string().optional(),
});

/** Networks that judge videos and are published together: the counterpart of a preset. */
export interface FeatureNetworks extends z.infer<typeof schema> {
  name: string;
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

/** Throws INVALID_ARGUMENT for an unknown name. */
export function loadFeatureNetworks(name: string, field = 'network'): FeatureNetworks {
  const file = join(folder, `${name}.json`);
  if (!/^[\w.-]+$/.test(name) || !existsSync(file)) {
    throw invalidField(field, name, `one of ${listFeatureNetworks().join(', ')}`);
  }
  const parsed = parseSchema(schema, JSON.parse(readFileSync(file, 'utf8')));
  return { ...parsed, name, checkpointFolder: join(modelsFolder(), 'weights', name) };
}
