import { existsSync } from 'node:fs';
import { access, readFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { modelNames, type Preset, presetPath } from '../../services/pipeline/preset.ts';
import type { Checkpoint, StoredTensor } from '../checkpoints/checkpoint.ts';
import { openCheckpoint } from '../checkpoints/open-checkpoint.ts';
import { isSelected, selectTensors, type TensorSelection } from '../checkpoints/select-tensors.ts';
import { unwrapNames } from '../checkpoints/unwrap-names.ts';
import { defaultCheckpointFolder, presetSources } from '../sources/preset-sources.ts';
import type { PublishedSources } from '../sources/published-sources.ts';

/** A file or folder with a network's tensors. */
export interface CheckpointSource extends TensorSelection {
  /** Absolute. */
  path: string;
}

type ModelKey = keyof typeof modelNames;

/**
 * Where each network of a preset finds its tensors. In a given `folder`: the published files if the preset has any,
 * otherwise files named like the preset's own. Without a folder: the preset's own files if they exist, and the
 * published files next to them.
 */
export function checkpointSources(preset: Preset, folder?: string): Record<ModelKey, CheckpointSource[]> {
  const published = presetSources(preset)?.models;
  const sourcesOf = (key: ModelKey): CheckpointSource[] => {
    const own = presetPath(preset, preset.weights[key]);
    const parts = published?.[modelNames[key]];
    if (parts === undefined || (folder === undefined && existsSync(own))) {
      const others = key === 'decoder' ? ['encoder.', 'quant_conv.'] : [];
      return [{ path: folder === undefined ? own : join(folder, basename(own)), names: { '': '' }, others }];
    }
    return publishedParts(parts, folder ?? defaultCheckpointFolder(preset));
  };
  const keys = Object.keys(modelNames) as ModelKey[];
  return Object.fromEntries(keys.map((key) => [key, sourcesOf(key)])) as Record<ModelKey, CheckpointSource[]>;
}

/** Where the parts of a published model are in a folder. */
export function publishedParts(parts: PublishedSources['models'][string], folder: string): CheckpointSource[] {
  return parts.map(({ checkpoint, names, others }) => ({ path: join(folder, checkpoint), names, others }));
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
    for (const [key, expected] of Object.entries(network as object)) {
      const found = config?.[key];
      if (found !== undefined && JSON.stringify(found) !== JSON.stringify(expected)) {
        faults.push(`config.json: \`${key}\` must be ${JSON.stringify(expected)} (got ${JSON.stringify(found)})`);
      }
    }
    if (config === undefined) {
      faults.push('config.json must be a JSON object');
    }
  }
  return faults;
}

function parseObject(text: string): Record<string, unknown> | undefined {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : undefined;
  } catch {
    return undefined;
  }
}
