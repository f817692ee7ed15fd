import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import type { ModelConfig, ModelVersionPolicy } from '../../../proto/gen/model_config.ts';
import { internal } from '../errors.ts';
import { pathWithin } from './config-paths.ts';

/** Subfolders of a model that are not versions. */
const notVersions = new Set(['warmup', 'initial_state', 'configs']);

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

/** Whether any version's folder contains an ONNX model. */
export function hasOnnxFile(folder: string): boolean {
  return subfolders(folder).some((version) => existsSync(join(folder, version, 'model.onnx')));
}

/** When a model's folder and each of its entries last changed, nanoseconds. */
export interface FolderTimes {
  newest: bigint;
  entries: Map<string, bigint>;
}

export function folderTimes(folder: string): FolderTimes {
  const entries = new Map(readdirSync(folder).map((name) => [name, newestChange(join(folder, name))]));
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

function newestChange(path: string): bigint {
  const own = changeOf(path);
  if (!statSync(path, { throwIfNoEntry: false })?.isDirectory()) {
    return own;
  }
  return readdirSync(path)
    .map((name) => newestChange(join(path, name)))
    .reduce(later, own);
}

function changeOf(path: string): bigint {
  return statSync(path, { bigint: true, throwIfNoEntry: false })?.mtimeNs ?? 0n;
}

function later(a: bigint, b: bigint): bigint {
  return a > b ? a : b;
}

/** Class names by output, one a line of the files that the outputs name. Throws INTERNAL for a file that is missing. */
export function readLabels(folder: string, config: ModelConfig): Map<string, string[]> {
  const labels = new Map<string, string[]>();
  for (const { name, labelFilename } of config.output) {
    if (labelFilename !== '') {
      const field = `label_filename of output '${name}' of model '${config.name}'`;
      const file = pathWithin(folder, labelFilename, field);
      if (!existsSync(file)) {
        throw internal(`${field}: there is no '${labelFilename}'`);
      }
      labels.set(name, readFileSync(file, 'utf8').replace(/\n$/, '').split('\n'));
    }
  }
  return labels;
}
