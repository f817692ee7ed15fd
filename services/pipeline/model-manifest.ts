import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import type { FileHashes } from '../kit/file-hashes.ts';

/** Lies beside a model's configuration: its sources and files. */
export const manifestName = 'manifest.json';
/** In the folder of a model repository: hashes of the files in it, so that they are read once. */
export const hashesName = '.hashes.json';

const fileFacts = z.object({
  /** Size. */
  bytes: z.int().min(0),
  sha256: z.string().regex(/^[0-9a-f]{64}$/),
});

/** The part of a manifest that a server holds the model to. */
const manifestSchema = z.object({
  /** By path within the model's folder, such as `1/model.onnx`. */
  files: z.record(z.string(), fileFacts),
});

export type ManifestFiles = z.infer<typeof manifestSchema>['files'];

/**
 * The files that a model's manifest lists; undefined where the model has none, or one of another program. Throws an Error
 * for a manifest that is damaged.
 */
export async function manifestFiles(modelFolder: string): Promise<ManifestFiles | undefined> {
  const path = join(modelFolder, manifestName);
  const text = await readFile(path, 'utf8').catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') {
      return undefined;
    }
    throw error;
  });
  return text === undefined ? undefined : manifestSchema.safeParse(JSON.parse(text)).data?.files;
}

/** Which of the files are not what the manifest says, a sentence each. */
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
        faults.push(`${name} is not what ${manifestName} says: sha256 ${sha256} expected, ${found} found`);
      }
    } catch (error) {
      signal?.throwIfAborted();
      faults.push(`${name}, which ${manifestName} lists, can't be read: ${(error as Error).message}`);
    }
  }
  return faults;
}
