import { existsSync } from 'node:fs';
import { access, readFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { Status } from 'nice-grpc-common';
import { FusionError } from '../../services/kit/errors.ts';
import { reasonOf } from '../../services/kit/reason-of.ts';
import { type ModelKey, modelNamesOf, type Preset, presetPath, weightsKeyOf } from '../../services/pipeline/preset.ts';
import type { Checkpoint, StoredTensor } from '../checkpoints/checkpoint.ts';
import { isSelected, selectTensors, type TensorSelection } from '../checkpoints/select-tensors.ts';
import { unwrapNames } from '../checkpoints/unwrap-names.ts';
import type { Network } from '../networks/architecture.ts';
import { defaultCheckpointFolder, presetSources } from '../sources/preset-sources.ts';
import type { PublishedSources } from '../sources/published-sources.ts';

/** A file or folder with a network's tensors. */
export interface CheckpointSource extends TensorSelection {
  /** Absolute. */
  path: string;
  /** The network's published arguments: a JSON file, and where in it. */
  arguments?: { file: string; at: readonly string[] } | undefined;
}

/**
 * Where each network of a preset finds its tensors. In a given `folder`: the published files if the preset has any,
 * otherwise files named like the preset's own. Without a folder: the preset's own files if they exist, and the
 * published files next to them.
 */
export function checkpointSources(preset: Preset, folder?: string): Partial<Record<ModelKey, CheckpointSource[]>> {
  const published = presetSources(preset)?.models;
  const names = modelNamesOf(preset);
  const sourcesOf = (key: ModelKey): CheckpointSource[] => {
    const own = presetPath(preset, preset.weights[weightsKeyOf(preset, key)]!);
    const parts = published?.[names[key]!];
    if (parts === undefined || (folder === undefined && existsSync(own))) {
      return [{ path: folder === undefined ? own : join(folder, basename(own)), names: { '': '' }, others: [] }];
    }
    return publishedParts(parts, folder ?? defaultCheckpointFolder(preset));
  };
  return Object.fromEntries((Object.keys(names) as ModelKey[]).map((key) => [key, sourcesOf(key)]));
}

/** Where the parts of a published model are in a folder. */
export function publishedParts(parts: PublishedSources['models'][string], folder: string): CheckpointSource[] {
  return parts.map(({ checkpoint, arguments: given, ...selection }) => ({
    ...selection,
    path: join(folder, checkpoint),
    ...(given && { arguments: { ...given, file: join(folder, given.file) } }),
  }));
}

/** The missing files and folders. */
export async function missingSources(sources: readonly CheckpointSource[]): Promise<string[]> {
  const missing: string[] = [];
  for (const { path } of sources) {
    await access(path).catch(() => missing.push(path));
  }
  return missing;
}

/**
 * The tensors of all files under the network's names, including those of a fine-tuned copy. Throws like
 * `openCheckpoint` and `unwrapNames`.
 *
 * @param parameters the network's names
 */
export async function openSources(
  sources: readonly CheckpointSource[],
  parameters: readonly string[],
): Promise<Checkpoint> {
  const tensors = new Map<string, StoredTensor>();
  const notes: string[] = [];
  for (const source of sources) {
    const unwrap = (names: readonly string[]) => unwrapNames(names, parameters, source);
    // Imported here, because a repository that is up to date needs none of the file formats.
    const { openCheckpoint } = await import('../checkpoints/open-checkpoint.ts');
    const checkpoint = await openCheckpoint(source.path, (names) => {
      const { rename } = unwrap(names);
      return (name) => {
        const published = rename(name);
        return published !== undefined && isSelected(published, source);
      };
    });
    const { rename, note } = unwrap([...checkpoint.tensors.keys()]);
    const renamed = [...checkpoint.tensors].flatMap(([name, stored]) => {
      const published = rename(name);
      return published === undefined || isTrainingCount(name) ? [] : [[published, stored] as const];
    });
    for (const [name, stored] of selectTensors({ ...checkpoint, tensors: new Map(renamed) }, source).tensors) {
      tensors.set(name, stored);
    }
    if (note !== undefined) {
      notes.push(`${basename(source.path)}: ${note}`);
    }
  }
  return { path: sources.map(({ path }) => path).join(', '), tensors, notes };
}

/** Batch norms count the steps of their training; PyTorch saves it since 0.4.1, and nothing uses it. */
const isTrainingCount = (name: string) => name.endsWith('.num_batches_tracked');

/**
 * Differences between the preset and a `config.json` next to the tensors, in sizes that no tensor's shape reveals, such
 * as the number of heads.
 */
export async function configFaults(sources: readonly CheckpointSource[], network: unknown): Promise<string[]> {
  const faults: string[] = [];
  for (const { path } of sources) {
    const text = await readFile(join(path, 'config.json'), 'utf8').catch(() => '{}');
    const config = parseObject(text);
    faults.push(...(config ? differences('config.json', config, network) : ['config.json must be a JSON object']));
  }
  return faults;
}

/** Throws NOT_FOUND or FAILED_PRECONDITION for a file of published arguments that is missing or is not a JSON object. */
export async function requireArgumentFiles(sources: readonly CheckpointSource[]): Promise<void> {
  for (const { arguments: published } of sources) {
    if (published === undefined) {
      continue;
    }
    const { file } = published;
    const text = await readFile(file, 'utf8').catch((error: unknown) => {
      const message = `checkpoint not found: ${file}, with the networks' arguments (${reasonOf(error)})`;
      throw new FusionError(Status.NOT_FOUND, message, { reason: 'CHECKPOINT_NOT_FOUND', field: 'checkpoint' });
    });
    if (parseObject(text) === undefined) {
      throw new FusionError(Status.FAILED_PRECONDITION, `${file} must be a JSON object with the networks' arguments`, {
        reason: 'CHECKPOINT_MISMATCH',
        field: 'checkpoint',
      });
    }
  }
}

/**
 * Differences between the preset and the arguments that were published in a JSON file of their own. An argument that the
 * network does not know is a fault.
 */
export async function argumentFaults(
  sources: readonly CheckpointSource[],
  network: PublishedNetwork,
): Promise<string[]> {
  const faults: string[] = [];
  for (const { arguments: published } of sources) {
    if (published === undefined) {
      continue;
    }
    const { place, given } = await readArguments(published);
    if (given === undefined) {
      faults.push(`${place} must be an object with the network's arguments`);
      continue;
    }
    try {
      const expected = { ...(network.config as object), ...network.stated };
      faults.push(...differences(place, network.parsePublished('', given) as Record<string, unknown>, expected));
    } catch (error) {
      faults.push(`${place}: ${(error as Error).message}`);
    }
  }
  return faults;
}

type PublishedNetwork = Pick<Network, 'config' | 'parsePublished' | 'stated'>;

/** The published arguments of a network, and where they stand, for errors; undefined if there is no object there. */
export async function readArguments({
  file,
  at,
}: NonNullable<CheckpointSource['arguments']>): Promise<{ place: string; given: object | undefined }> {
  const content = parseObject(await readFile(file, 'utf8').catch(() => ''));
  const given = at.reduce<unknown>((part, name) => (part as Record<string, unknown> | undefined)?.[name], content);
  const isObject = typeof given === 'object' && given !== null;
  return { place: [basename(file), ...at].join(': '), given: isObject ? given : undefined };
}

function differences(place: string, found: Record<string, unknown>, network: unknown): string[] {
  return Object.entries(network as object).flatMap(([key, expected]) =>
    found[key] === undefined || JSON.stringify(found[key]) === JSON.stringify(expected)
      ? []
      : [`${place}: \`${key}\` must be ${JSON.stringify(expected)} (got ${JSON.stringify(found[key])})`],
  );
}

/** A JSON object, after a byte order mark if there is one. */
function parseObject(text: string): Record<string, unknown> | undefined {
  try {
    const value: unknown = JSON.parse(text.replace(/^\uFEFF/, ''));
    return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : undefined;
  } catch {
    return undefined;
  }
}
