import { mkdir, readFile, stat, statfs } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { Status } from 'nice-grpc-common';
import { FusionError } from '../../services/kit/errors.ts';
import type { HubFile, HubLocation } from '../checkpoints/hub-file.ts';
import { PullRecord } from '../checkpoints/pull-record.ts';
import type { PublishedSources, SourceRepository } from '../sources/published-sources.ts';
import { hashFile, startHash } from './content-hash.ts';
import { downloadFile } from './download.ts';
import type { HubClient } from './hub-client.ts';
import { partialPath } from './partial-file.ts';
import type { PullProgress } from './pull-progress.ts';
import { type WantedFile, wantedFiles, wantedShards } from './wanted-files.ts';

interface HubPullOptions {
  /** Revisions by repository, overriding those in the sources. */
  revisions: Readonly<Record<string, string>>;
  progress: PullProgress;
  firstWaitMilliseconds: number;
  signal?: AbortSignal;
}

interface PlannedFile extends WantedFile, HubLocation {
  file: HubFile;
}

/** A branch, tag or abbreviated commit, and the commit that was pulled. */
export interface ResolvedRevision {
  repository: string;
  revision: string;
  commit: string;
  /** The commit that the revision is now: another one if the files stay at an earlier one. */
  newest: string;
}

/**
 * Fetches a preset's files from the hub into a folder; correct files that are already there are left alone. Unless a
 * revision is given, a repository stays at the commit that an earlier pull recorded. Returns the revisions that are not commits.
 */
export async function pullFromHub(
  client: HubClient,
  sources: PublishedSources,
  folder: string,
  options: HubPullOptions,
): Promise<ResolvedRevision[]> {
  await mkdir(folder, { recursive: true });
  const record = await PullRecord.read(folder);
  const pull = new HubPull(client, folder, record, options);
  const planned: PlannedFile[] = [];
  const resolved: ResolvedRevision[] = [];
  for (const repository of sources.repositories) {
    const { name, address } = repository;
    const revision = options.revisions[name] ?? repository.revision;
    const isPinned = name in options.revisions || address !== undefined || /^[0-9a-f]{40}$/.test(revision);
    const kept = isPinned ? undefined : record.commitOf(name);
    const { location, listed } = await locate(client, repository, kept ?? revision);
    const { commit } = location;
    if (commit !== revision) {
      const newest = kept === undefined ? commit : await client.commitOf(name, revision);
      resolved.push({ repository: name, revision, commit, newest });
    }
    const plan = ({ path, name }: WantedFile): PlannedFile => {
      return { path, name, ...location, file: listed.get(path)! };
    };
    const present = (path: string) => listed.has(path);
    const { files, index } = await wantedFiles(repository, present);
    planned.push(...files.map(plan));
    if (index !== undefined) {
      await pull.fetch(plan(index));
      const text = await readFile(join(folder, index.name), 'utf8');
      planned.push(...(await wantedShards(sources, repository, index, text, present)).map(plan));
    }
  }
  await requireSpace(folder, planned);
  for (const each of planned) {
    await pull.fetch(each);
  }
  return resolved;
}

/** Where a repository's files are, and which there are. */
async function locate(client: HubClient, { name, address, hashes = {} }: SourceRepository, revision: string) {
  if (address !== undefined) {
    const location = { repository: name, address, commit: revision };
    return { location, listed: await client.describeFiles(location, hashes) };
  }
  const location = { repository: name, commit: await client.commitOf(name, revision) };
  return { location, listed: await client.listFiles(name, location.commit) };
}

class HubPull {
  readonly #client: HubClient;
  readonly #folder: string;
  readonly #record: PullRecord;
  readonly #options: HubPullOptions;

  constructor(client: HubClient, folder: string, record: PullRecord, options: HubPullOptions) {
    this.#client = client;
    this.#folder = folder;
    this.#record = record;
    this.#options = options;
  }

  async fetch({ name, file, ...location }: PlannedFile): Promise<void> {
    const { progress, firstWaitMilliseconds, signal } = this.#options;
    const target = join(this.#folder, name);
    if (await this.#record.isCurrent(name, file)) {
      await this.#record.confirm(name, location);
      progress.unchanged(name, file.size);
      return;
    }
    await mkdir(dirname(target), { recursive: true });
    progress.start(name, file.size);
    const onBytes = (count: number, kind: 'fetched' | 'found') => progress.advance(count, kind);
    if (!(await this.#isRight(target, name, file))) {
      await downloadFile(this.#client, location, file, target, {
        onBytes,
        firstWaitMilliseconds,
        ...(signal && { signal }),
      });
    }
    await this.#record.add(name, location, file.hash.value);
    progress.done();
  }

  /** Whether a file of unknown origin is the right one. Any other file stays untouched. */
  async #isRight(target: string, name: string, file: HubFile): Promise<boolean> {
    const found = await stat(target).catch(() => undefined);
    if (found === undefined || this.#record.has(name)) {
      return false;
    }
    const hash = startHash(file);
    const { progress, signal } = this.#options;
    if (found.size === file.size) {
      await hashFile(target, hash, (count) => progress.advance(count, 'found'), signal);
      if (hash.digest('hex').startsWith(file.hash.value)) {
        return true;
      }
    }
    throw new FusionError(
      Status.FAILED_PRECONDITION,
      `${target} exists, but is not the hub's file (${file.size} bytes, ${file.hash.kind} ${file.hash.value}): ` +
        'remove it, or name another folder with --output',
      { reason: 'WRONG_HASH', field: 'output' },
    );
  }
}

async function requireSpace(folder: string, planned: readonly PlannedFile[]): Promise<void> {
  let needed = 0;
  for (const { name, file } of planned) {
    const sizes = [join(folder, name), partialPath(file, join(folder, name))].map((path) =>
      stat(path).then(
        ({ size }) => size,
        () => 0,
      ),
    );
    needed += Math.max(0, file.size - Math.max(...(await Promise.all(sizes))));
  }
  const { bavail, bsize } = await statfs(folder);
  if (bavail * bsize < needed) {
    throw new FusionError(
      Status.RESOURCE_EXHAUSTED,
      `${folder}: ${needed} bytes are needed, ${bavail * bsize} are free on its disk`,
      { reason: 'DISK_FULL', field: 'output' },
    );
  }
}
