import { rm, stat } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { Status } from 'nice-grpc-common';
import { FusionError, invalidField } from '../../services/kit/errors.ts';
import { makeFolder } from '../../services/kit/make-folder.ts';
import { PullRecord } from '../checkpoints/pull-record.ts';
import { checkCheckpoints } from '../packaging/check-checkpoints.ts';
import type { ModelSet } from '../packaging/model-set.ts';
import type { PublishedSources } from '../sources/published-sources.ts';
import { HubClient, type HubClientOptions } from './hub-client.ts';
import { pullFromHub, type ResolvedRevision } from './pull-from-hub.ts';
import type { PullProgress } from './pull-progress.ts';
import { takeFromFolder } from './take-from-folder.ts';

export interface PullOptions {
  /** A folder, or `hub`. */
  from: string;
  /**
   * Branches, tags or commits: `name` for the preset's own repository, `owner/repository=name` for any. Default: the commits that
   * an earlier pull into the folder recorded, or as its sources say.
   */
  revisions?: readonly string[];
  /** Target folder. Default: where the preset's weights are looked up. */
  output?: string;
  hub: HubClientOptions;
  /** Whether files from a folder are hard-linked instead of copied. Default: copied. */
  link?: boolean;
  /** Whether tensors that a network does not have are ignored. Default: they are an error. */
  ignoreExtra?: boolean;
  progress: PullProgress;
  signal?: AbortSignal;
}

export interface PulledFiles {
  /** Absolute. */
  folder: string;
  /** Sentences about what was recognised in the files or will be left out. */
  notes: string[];
}

/**
 * Gets published files into a folder and checks that they fit their networks. Throws INVALID_ARGUMENT for models without
 * published files or a folder that does not exist, and whatever the steps throw. Files that were just copied from a folder
 * and do not fit are removed again.
 */
export async function pullModels(set: ModelSet, options: PullOptions): Promise<PulledFiles> {
  const { sources } = set;
  if (sources === undefined) {
    throw invalidField('preset', set.name, 'a preset with published files');
  }
  const folder = resolve(options.output ?? set.checkpointFolder);
  const { from, revisions = [], progress, hub, signal, ignoreExtra } = options;
  if (from !== 'hub' && revisions.length > 0) {
    throw new FusionError(Status.INVALID_ARGUMENT, '`--revision` only applies to the hub', {
      reason: 'INVALID_FIELD',
      field: '--revision',
    });
  }
  if (from === 'hub' && options.link) {
    throw new FusionError(Status.INVALID_ARGUMENT, '`--link` only applies to a folder', {
      reason: 'INVALID_FIELD',
      field: '--link',
    });
  }
  await makeFolder(resolve(folder));
  const abort = signal && { signal };
  if (from === 'hub') {
    const { firstWaitMilliseconds } = hub;
    const options = { progress, firstWaitMilliseconds, revisions: chosenRevisions(revisions, sources), ...abort };
    const client = new HubClient({ ...hub, ...abort });
    let resolved: ResolvedRevision[];
    try {
      resolved = await pullFromHub(client, sources, folder, options);
    } finally {
      await client.close();
    }
    return { folder, notes: [...(await checkFit(set, folder, ignoreExtra)), ...resolved.map(describeRevision)] };
  }
  const taken = await takeFromFolder(await requireFolder(from), sources, folder, {
    link: options.link ?? false,
    progress,
    signal,
  });
  try {
    const notes = await checkFit(set, folder, ignoreExtra);
    const record = await PullRecord.read(folder);
    for (const { name, sha256 } of taken) {
      if (sha256 !== undefined) {
        await record.add(name, undefined, sha256);
      }
    }
    return { folder, notes };
  } catch (error) {
    await Promise.all(taken.map(({ name }) => rm(join(folder, name), { force: true })));
    throw error;
  }
}

function describeRevision({ repository, revision, commit, newest }: ResolvedRevision): string {
  return commit === newest
    ? `${repository}: ${revision} was commit ${commit}; \`--revision ${repository}=${commit}\` gets the same files again`
    : `${repository}: stayed at commit ${commit}, as recorded in pulled.json; ${revision} is now ${newest}, which \`--revision ${repository}=${revision}\` gets`;
}

/** By repository. Throws INVALID_ARGUMENT for a repository that is not the preset's. */
function chosenRevisions(given: readonly string[], { repositories }: PublishedSources): Record<string, string> {
  const names = repositories.map(({ name }) => name);
  return Object.fromEntries(
    given.map((text) => {
      const [, repository = names[0]!, revision = ''] = /^(?:([^=]+)=)?([^=]+)$/.exec(text) ?? [];
      if (!names.includes(repository) || revision === '') {
        throw invalidField('--revision', text, `a name, or ${names.map((name) => `${name}=name`).join(', ')}`);
      }
      return [repository, revision];
    }),
  );
}

async function checkFit(set: ModelSet, folder: string, ignoreExtra?: boolean): Promise<string[]> {
  const planned = set.models(folder).map((model) => ({ model, weights: 'trained' as const }));
  const checkpoints = await checkCheckpoints(planned, ignoreExtra);
  return [...checkpoints].flatMap(([name, checkpoint]) =>
    checkpoint === 'random' ? [] : (checkpoint.notes ?? []).map((note) => `${name}: ${note}`),
  );
}

async function requireFolder(from: string): Promise<string> {
  const isFolder = await stat(from).then(
    (stats) => stats.isDirectory(),
    () => false,
  );
  if (!isFolder) {
    throw invalidField('--from', from, 'hub, or a folder that exists');
  }
  return resolve(from);
}
