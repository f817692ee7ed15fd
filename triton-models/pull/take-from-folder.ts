import type { Stats } from 'node:fs';
import { mkdir, readFile, stat } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { Status } from 'nice-grpc-common';
import { explainDiskFull } from '../../services/kit/disk-full.ts';
import { FusionError } from '../../services/kit/errors.ts';
import { sha256OfFile } from '../../services/kit/file-hashes.ts';
import { writeWhole } from '../../services/kit/write-whole.ts';
import { placeFile } from '../packaging/place-file.ts';
import type { PublishedSources, SourceRepository } from '../sources/published-sources.ts';
import type { PullProgress } from './pull-progress.ts';
import { type WantedFile, wantedFiles, wantedShards } from './wanted-files.ts';

export interface TakeOptions {
  /** Whether files are hard-linked if the file system allows it, instead of copied. */
  link: boolean;
  progress: PullProgress;
  signal?: AbortSignal | undefined;
}

/** A file added to the folder. */
export interface TakenFile {
  /** Path within the folder. */
  name: string;
  /** SHA-256 of a copy; undefined for a link. */
  sha256: string | undefined;
}

/**
 * Copies a preset's files from a folder, or hard-links them with `link`. They may have the names that pull gives them
 * or their paths in the repositories. Returns the files added to `folder`. Throws NOT_FOUND naming the missing ones.
 */
export async function takeFromFolder(
  from: string,
  sources: PublishedSources,
  folder: string,
  options: TakeOptions,
): Promise<TakenFile[]> {
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
  const taken: TakenFile[] = [];
  for (const { name, source } of found) {
    options.signal?.throwIfAborted();
    if (!(await isThere(source, join(folder, name), name, options))) {
      taken.push({ name, sha256: await place(source, join(folder, name), name, options) });
    }
  }
  return taken;
}

async function readText(sourceOf: (path: string) => Promise<string | undefined>, file: WantedFile): Promise<string> {
  return readFile((await sourceOf(file.path))!, 'utf8');
}

/** Looks up a file by the name pull would give it, by its path in the repository, or by its base name. */
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

/** Throws FAILED_PRECONDITION if a different file has the name already. */
async function isThere(
  source: string,
  target: string,
  name: string,
  { progress, signal }: TakeOptions,
): Promise<boolean> {
  const [wanted, there] = await Promise.all([stat(source), stat(target).catch(() => undefined)]);
  if (there === undefined) {
    return false;
  }
  if (!isSame(there, wanted) && !(await hasSameContent(source, target, signal))) {
    throw new FusionError(
      Status.FAILED_PRECONDITION,
      `${target} exists and differs from ${source}: remove it, or name another folder with --output`,
      { reason: 'FILE_EXISTS', field: 'output' },
    );
  }
  progress.unchanged(name, wanted.size);
  return true;
}

/** Returns the SHA-256 of a copy. */
async function place(source: string, target: string, name: string, options: TakeOptions): Promise<string | undefined> {
  const { link, progress, signal } = options;
  const { size } = await stat(source);
  progress.start(name, size);
  await mkdir(dirname(target), { recursive: true });
  const onBytes = (count: number) => progress.advance(count, 'fetched');
  try {
    const sha256 = await writeWhole(target, (partial) => placeFile(source, partial, { link, onBytes, signal }));
    progress.done();
    return sha256;
  } catch (error) {
    throw explainDiskFull(error, target);
  }
}

const isSame = (a: Stats, b: Stats) => a.ino === b.ino && a.dev === b.dev;

/** A copy from an earlier run is as good as a new one. */
async function hasSameContent(source: string, target: string, signal?: AbortSignal): Promise<boolean> {
  const [a, b] = await Promise.all([stat(source), stat(target)]);
  if (a.size !== b.size) {
    return false;
  }
  const [first, second] = await Promise.all([source, target].map((path) => sha256OfFile(path, undefined, signal)));
  return first === second;
}
