import { createHash } from 'node:crypto';
import type { Stats } from 'node:fs';
import { copyFile, link, mkdir, readFile, realpath, rename, rm, stat } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { Status } from 'nice-grpc-common';
import { FusionError } from '../../services/kit/errors.ts';
import type { PresetSources, SourceRepository } from '../sources/preset-sources.ts';
import { hashFile } from './content-hash.ts';
import type { PullProgress } from './pull-progress.ts';
import { type WantedFile, wantedFiles, wantedShards } from './wanted-files.ts';

/**
 * Takes a preset's files from a folder, as hard links where the file system allows it and as copies elsewhere. They may
 * lie there under the names that pull gives them or under the paths that they have in their repositories. → the files
 * that are new in `folder`. Throws NOT_FOUND naming those that are missing.
 */
export async function takeFromFolder(
  from: string,
  sources: PresetSources,
  folder: string,
  progress: PullProgress,
  signal?: AbortSignal,
): Promise<string[]> {
  const found: { name: string; source: string }[] = [];
  for (const repository of sources.repositories) {
    const sourceOf = (path: string) => findFile(from, repository, path);
    const present = async (path: string) => (await sourceOf(path)) !== undefined;
    const add = async ({ path, name }: WantedFile) => found.push({ name, source: (await sourceOf(path))! });
    const { files, index } = await wantedFiles(repository, present);
    const shards =
      index === undefined
        ? []
        : [index, ...(await wantedShards(sources, repository, index, await readText(sourceOf, index), present))];
    for (const file of [...files, ...shards]) {
      await add(file);
    }
  }
  const placed: string[] = [];
  for (const { name, source } of found) {
    signal?.throwIfAborted();
    if (await place(source, join(folder, name), progress, name)) {
      placed.push(join(folder, name));
    }
  }
  return placed;
}

async function readText(sourceOf: (path: string) => Promise<string | undefined>, file: WantedFile): Promise<string> {
  return readFile((await sourceOf(file.path))!, 'utf8');
}

/** By the name that pull would give it, by its path in the repository, or by its name alone. */
async function findFile(from: string, repository: SourceRepository, path: string): Promise<string | undefined> {
  const { files, checkpoint = '' } = repository;
  const candidates = [files[path] ?? join(checkpoint, path), join(checkpoint, path), path, basename(path)];
  for (const candidate of candidates) {
    const isFile = await stat(join(from, candidate)).then(
      (stats) => stats.isFile(),
      () => false,
    );
    if (isFile) {
      return join(from, candidate);
    }
  }
  return undefined;
}

/** → whether the file is new. */
async function place(source: string, target: string, progress: PullProgress, name: string): Promise<boolean> {
  const [wanted, there] = await Promise.all([stat(source), stat(target).catch(() => undefined)]);
  if (there !== undefined && (isSame(there, wanted) || (await hasSameContent(source, target)))) {
    progress.unchanged(name, wanted.size);
    return false;
  }
  if (there !== undefined) {
    throw new FusionError(
      Status.FAILED_PRECONDITION,
      `${target} is there and differs from ${source}: remove it, or name another folder with --output`,
      { reason: 'FILE_EXISTS', field: 'output' },
    );
  }
  progress.start(name, wanted.size);
  await mkdir(dirname(target), { recursive: true });
  const partial = `${target}.part`;
  await rm(partial, { force: true });
  try {
    const real = await realpath(source);
    await link(real, partial).catch(() => copyFile(real, partial));
    await rename(partial, target);
  } catch (error) {
    await rm(partial, { force: true });
    throw (error as NodeJS.ErrnoException).code === 'ENOSPC' ? diskFull(target, error) : error;
  }
  progress.advance(wanted.size, 'found');
  progress.done();
  return true;
}

const isSame = (a: Stats, b: Stats) => a.ino === b.ino && a.dev === b.dev;

/** A copy from an earlier time is as good as a link. */
async function hasSameContent(source: string, target: string): Promise<boolean> {
  const [a, b] = await Promise.all([stat(source), stat(target)]);
  if (a.size !== b.size) {
    return false;
  }
  const hashes = [source, target].map(async (path) => {
    const hash = createHash('sha256');
    await hashFile(path, hash, () => {});
    return hash.digest('hex');
  });
  const [first, second] = await Promise.all(hashes);
  return first === second;
}

function diskFull(target: string, cause: unknown): FusionError {
  return new FusionError(Status.RESOURCE_EXHAUSTED, `${target}: the disk is full`, { reason: 'DISK_FULL', cause });
}
