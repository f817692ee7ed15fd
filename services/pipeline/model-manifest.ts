import { createHash } from 'node:crypto';
import { existsSync, readFileSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { z } from 'zod';
import type { FileHashes } from '../kit/file-hashes.ts';
import { parseJson } from '../kit/parse-json.ts';
import { reasonOf } from '../kit/reason-of.ts';
import { parseSchema } from '../kit/schema.ts';

/** File next to a model's configuration, listing its sources and files. */
export const manifestName = 'manifest.json';
/**
 * Parameter of a model's configuration with the {@link contentHash} of its files: of the version that a server chooses or, where
 * there are several, of a given one.
 */
export function contentParameter(version?: string): string {
  return version === undefined ? 'content' : `content.${version}`;
}
/** File in a model repository with the hashes of its files, so that each is read only once. */
export const hashesName = '.hashes.json';

const fileFacts = z.object({
  /** Size. */
  bytes: z.int().min(0),
  sha256: z.string().regex(/^[0-9a-f]{64}$/, '64 lowercase hexadecimal digits'),
});

/** The part of a manifest that a server checks the model against. */
const manifestSchema = z.object({
  /** By path within the model's folder, such as `1/model.onnx`. */
  files: z.record(z.string(), fileFacts),
});

export type ManifestFiles = z.infer<typeof manifestSchema>['files'];

/** Hash over the names and contents of a model's files. */
export function contentHash(files: ManifestFiles): string {
  const lines = Object.entries(files).map(([name, { sha256 }]) => `${sha256}  ${name}\n`);
  return createHash('sha256').update(lines.sort().join('')).digest('hex');
}

/**
 * The files listed in a model's manifest; undefined if the model has none, or one by another program. Throws an Error
 * that names the path and the faulty fields of a damaged manifest.
 */
export async function manifestFiles(modelFolder: string): Promise<ManifestFiles | undefined> {
  const path = join(modelFolder, manifestName);
  const text = await readFile(path, 'utf8').catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') {
      return undefined;
    }
    throw error;
  });
  return text === undefined ? undefined : parseFiles(path, text);
}

function parseFiles(path: string, text: string): ManifestFiles | undefined {
  try {
    const content = parseJson(text);
    return isOurs(content) ? parseSchema(manifestSchema, content).files : undefined;
  } catch (error) {
    throw new Error(`${path} is damaged: ${reasonOf(error)}`);
  }
}

const hasSources = z.object({ sources: z.string() });
const listsFiles = z.object({ files: z.record(z.string(), z.unknown()) });
const hasHash = z.object({ sha256: z.unknown() });

/**
 * Other programs call their files manifest.json too. Ours has a hash of its sources and one of each file, so that damage
 * to one mark leaves the others.
 */
function isOurs(content: unknown): boolean {
  const listed = Object.values(listsFiles.safeParse(content).data?.files ?? {});
  return hasSources.safeParse(content).success || listed.some((facts) => hasHash.safeParse(facts).success);
}

/**
 * Throws an Error if the manifest next to a file is damaged or lists the file with a different hash. A file that no
 * manifest lists may have any content.
 */
export function requireListed(path: string, content: Buffer): void {
  const manifest = join(dirname(path), manifestName);
  const listed = existsSync(manifest)
    ? parseFiles(manifest, readFileSync(manifest, 'utf8'))?.[basename(path)]
    : undefined;
  const found = createHash('sha256').update(content).digest('hex');
  if (listed && listed.sha256 !== found) {
    throw new Error(otherHash('it', listed.sha256, found));
  }
}

/** A sentence for each file that differs from the manifest. */
export async function fileFaults(
  modelFolder: string,
  files: ManifestFiles,
  hashes: FileHashes,
  signal?: AbortSignal,
): Promise<string[]> {
  const faults: string[] = [];
  for (const [name, { sha256 }] of Object.entries(files)) {
    try {
      const found = await hashes.sha256(join(modelFolder, name), signal);
      if (found !== sha256) {
        faults.push(otherHash(name, sha256, found));
      }
    } catch (error) {
      signal?.throwIfAborted();
      faults.push(`${name}, which ${manifestName} lists, can't be read: ${reasonOf(error)}`);
    }
  }
  return faults;
}

function otherHash(name: string, expected: string, found: string): string {
  return `${name} is not what ${manifestName} says: sha256 ${expected} expected, ${found} found`;
}
