import { existsSync, readFileSync } from 'node:fs';
import { normalize } from 'node:path';
import { Status } from 'nice-grpc-common';
import { z } from 'zod';
import { FusionError } from '../../services/kit/errors.ts';
import { parseJson } from '../../services/kit/parse-json.ts';
import { reasonOf } from '../../services/kit/reason-of.ts';
import { parseSchema } from '../../services/kit/schema.ts';

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
  /** JSON file with the network's constructor arguments, and the names that lead to them in it. */
  arguments: z.strictObject({ file: relativePath, at: z.array(z.string()) }).optional(),
});

const repository = z.strictObject({
  name: z.string().regex(/^[\w.-]+\/[\w.-]+$/),
  /** Base URL of `<revision>/<path>` for files outside the hub, such as `https://raw.githubusercontent.com/owner/name`. */
  address: z.url({ protocol: /^https?$/ }).optional(),
  /** Branch, tag or commit. */
  revision: z.string(),
  /** Paths in the repository, and where each file goes in the checkpoint folder. */
  files: z.record(relativePath, relativePath),
  /** Hash of each file at an address, or as much of its beginning as the publisher gives. */
  hashes: z.record(relativePath, z.string().regex(/^(sha256|git-sha1):[0-9a-f]{8,64}$/)).optional(),
  /** Folder for the repository's own checkpoint: one file or shards, in either format. */
  checkpoint: relativePath.optional(),
});

const addressed = repository.refine(
  ({ address, files, hashes = {} }) => !address || Object.keys(files).every((path) => hashes[path]),
  {
    error: 'must have the hash of every file at an address',
    path: ['hashes'],
  },
);

const sourcesSchema = z.strictObject({
  repositories: z.array(addressed).min(1),
  models: z.record(z.string(), z.array(part).min(1)),
});

/** Published files, and which of their tensors each model uses. */
export type PublishedSources = z.infer<typeof sourcesSchema>;
export type SourceRepository = z.infer<typeof repository>;

/**
 * Reads a file of `triton-models/sources`; undefined if there is none. Throws FAILED_PRECONDITION naming each fault of it.
 *
 * @param models names of the models it must describe
 */
export function readSources(file: string, models: readonly string[]): PublishedSources | undefined {
  if (!existsSync(file)) {
    return undefined;
  }
  try {
    const exactly = z.strictObject(Object.fromEntries(models.map((name) => [name, z.array(part).min(1)])));
    return parseSchema(sourcesSchema.extend({ models: exactly }), parseJson(readFileSync(file, 'utf8')));
  } catch (error) {
    throw new FusionError(Status.FAILED_PRECONDITION, `preset: ${file} does not describe sources: ${reasonOf(error)}`, {
      reason: 'INVALID_PRESET',
      field: 'preset',
      cause: error,
    });
  }
}
