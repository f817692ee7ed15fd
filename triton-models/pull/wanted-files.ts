import { Status } from 'nice-grpc-common';
import { FusionError } from '../../services/kit/errors.ts';
import { folderFiles } from '../checkpoints/open-checkpoint.ts';
import { isSelected } from '../checkpoints/select-tensors.ts';
import { parseShardIndex } from '../checkpoints/sharded.ts';
import type { PublishedSources, SourceRepository } from '../sources/published-sources.ts';

/** A file to fetch: its path in the repository, and its place in the checkpoint folder. */
export interface WantedFile {
  path: string;
  name: string;
}

/**
 * The files to fetch from a repository, determined before any is read: those listed in the sources, and the
 * repository's own checkpoint, either one file or an index of shards. `present` says which paths exist. Throws
 * NOT_FOUND naming every missing file.
 */
export async function wantedFiles(
  repository: SourceRepository,
  present: (path: string) => boolean | Promise<boolean>,
): Promise<{ files: WantedFile[]; index: WantedFile | undefined }> {
  const files = Object.entries(repository.files).map(([path, name]) => ({ path, name }));
  const missing: string[] = [];
  for (const { path } of files) {
    if (!(await present(path))) {
      missing.push(path);
    }
  }
  let index: WantedFile | undefined;
  if (repository.checkpoint !== undefined) {
    const path = await firstPresent(folderFiles, present);
    if (path === undefined) {
      missing.push(`one of ${folderFiles.join(', ')}`);
    } else if (path.endsWith('.index.json')) {
      index = { path, name: `${repository.checkpoint}/${path}` };
    } else {
      files.push({ path, name: `${repository.checkpoint}/${path}` });
    }
  }
  if (missing.length > 0) {
    throw missingFiles(repository, missing);
  }
  return { files, index };
}

/** The shards named by an index, as far as the networks use their tensors. */
export async function wantedShards(
  sources: PublishedSources,
  repository: SourceRepository,
  index: WantedFile,
  text: string,
  present: (path: string) => boolean | Promise<boolean>,
): Promise<WantedFile[]> {
  const takers = Object.values(sources.models)
    .flat()
    .filter(({ checkpoint }) => checkpoint === repository.checkpoint);
  const wants = (tensor: string) => takers.some((selection) => isSelected(tensor, selection));
  const shards = [...parseShardIndex(index.path, text, () => wants).keys()].sort();
  const missing: string[] = [];
  for (const shard of shards) {
    if (!(await present(shard))) {
      missing.push(shard);
    }
  }
  if (missing.length > 0) {
    throw missingFiles(repository, missing);
  }
  return shards.map((path) => ({ path, name: `${repository.checkpoint}/${path}` }));
}

async function firstPresent(
  paths: readonly string[],
  present: (path: string) => boolean | Promise<boolean>,
): Promise<string | undefined> {
  for (const path of paths) {
    if (await present(path)) {
      return path;
    }
  }
  return undefined;
}

function missingFiles({ name }: SourceRepository, missing: readonly string[]): FusionError {
  return new FusionError(Status.NOT_FOUND, `${name}: not found: ${missing.join(', ')}`, {
    reason: 'CHECKPOINT_NOT_FOUND',
    field: 'checkpoint',
  });
}
