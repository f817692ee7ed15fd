import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import type { ModelConfig, ModelVersionPolicy } from '../../../proto/gen/model_config.ts';
import { internal, invalidArgument } from '../errors.ts';
import { pathWithin, requireFile, warmupFolder } from './config-paths.ts';

/** Subfolders of a model that are not versions. */
const notVersions = new Set([warmupFolder, 'initial_state', 'configs']);
/** The walk through a model's folder holds up all other requests. */
const maxEntries = 10_000;
const maxDepth = 16;
/** Of all label files of a model together. */
const maxLabelBytes = 8 << 20;

/** Names of a folder's subfolders, sorted. */
export function subfolders(folder: string): string[] {
  return readdirSync(folder)
    .filter((name) => statSync(join(folder, name), { throwIfNoEntry: false })?.isDirectory())
    .sort();
}

/** The versions in a model's folder that its policy serves. */
export function versionsToLoad(folder: string, policy: ModelVersionPolicy | undefined): bigint[] {
  const versions = subfolders(folder)
    .filter((name) => /^(0|[1-9]\d{0,17})$/.test(name) && !notVersions.has(name))
    .map(BigInt)
    .sort((a, b) => (a < b ? 1 : -1));
  const choice = policy?.policyChoice;
  switch (choice?.$case) {
    case 'all':
      return versions;
    case 'specific':
      return versions.filter((version) => choice.value.versions.includes(version));
    default:
      return versions.slice(0, choice?.value.numVersions ?? 1);
  }
}

/** Whether any version's folder contains this file or folder. */
export function hasInVersion(folder: string, name: string): boolean {
  return subfolders(folder).some((version) => existsSync(join(folder, version, name)));
}

/** When a model's folder and each of its entries last changed, nanoseconds. */
export interface FolderTimes {
  newest: bigint;
  entries: Map<string, bigint>;
}

/**
 * Does not follow links to folders: only their targets' own times count. Throws INVALID_ARGUMENT for a folder that is too
 * deep or has too many entries for a model.
 */
export function folderTimes(folder: string): FolderTimes {
  let count = 0;
  const newestChange = (path: string, isFolder: boolean, depth: number): bigint => {
    const own = changeOf(path);
    return isFolder ? [...list(path, depth).values()].reduce(later, own) : own;
  };
  const list = (path: string, depth: number): Map<string, bigint> => {
    const found = readdirSync(path, { withFileTypes: true });
    count += found.length;
    if (depth > maxDepth || count > maxEntries) {
      throw invalidArgument(
        `a model's folder must have at most ${maxEntries} entries and ${maxDepth} levels, but '${folder}' has more`,
      );
    }
    return new Map(
      found.map((entry) => [entry.name, newestChange(join(path, entry.name), entry.isDirectory(), depth + 1)]),
    );
  };
  const entries = list(folder, 1);
  return { newest: [...entries.values(), changeOf(folder)].reduce(later), entries };
}

/** Whether a version, or something that all versions share, has changed since `previous`. */
export function isVersionChanged(previous: FolderTimes, current: FolderTimes, version: bigint): boolean {
  const relevant = ({ entries }: FolderTimes) =>
    [...entries]
      .filter(([name]) => name === String(version) || (!/^\d+$/.test(name) && name !== 'config.pbtxt'))
      .map(([, time]) => time)
      .reduce(later, 0n);
  return relevant(current) > relevant(previous);
}

function changeOf(path: string): bigint {
  return statSync(path, { bigint: true, throwIfNoEntry: false })?.mtimeNs ?? 0n;
}

function later(a: bigint, b: bigint): bigint {
  return a > b ? a : b;
}

/**
 * Class names by output, one per line in `label_filename`. Throws INTERNAL for a missing file, INVALID_ARGUMENT for a folder or
 * more than 8 MiB in all.
 */
export function readLabels(folder: string, config: ModelConfig): Map<string, string[]> {
  const labels = new Map<string, string[]>();
  let bytes = 0;
  for (const { name, labelFilename } of config.output) {
    if (labelFilename !== '') {
      const field = `label_filename of output '${name}' of model '${config.name}'`;
      const file = pathWithin(folder, labelFilename, field);
      const facts = requireFile(file, field);
      if (!facts) {
        throw internal(`${field}: there is no '${labelFilename}'`);
      }
      bytes += facts.size;
      if (bytes > maxLabelBytes) {
        throw invalidArgument(
          `label files of model '${config.name}' must have at most ${maxLabelBytes} bytes in all (got ${bytes})`,
        );
      }
      labels.set(name, readFileSync(file, 'utf8').replace(/\n$/, '').split('\n'));
    }
  }
  return labels;
}
