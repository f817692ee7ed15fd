import { createHash } from 'node:crypto';
import { access, readdir, readFile, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { FileHashes } from '../../services/kit/file-hashes.ts';
import { fileFaults, type ManifestFiles, manifestFiles, manifestName } from '../../services/pipeline/model-manifest.ts';
import type { EnginePrecision } from '../graphs/engine-precision.ts';
import type { EnginePlan } from '../tensorrt/plan-engines.ts';
import type { LoraRecord, PlannedLoras } from './plan-loras.ts';
import type { ServedModel } from './served-models.ts';
import type { WeightsState } from './weights-state.ts';

/** A built model's sources and results. */
export interface Manifest {
  /** Hash of everything that determines the build. */
  sources: string;
  weights: WeightsState;
  parameters: number;
  /** Size of the parameters, in bytes. */
  bytes: number;
  /** Of an engine; portable models compute in float32. */
  precision?: EnginePrecision;
  /** What was merged into the weights, in order. */
  loras?: readonly LoraRecord[];
  /** Further versions, by number. */
  versions?: Readonly<Record<string, Omit<Manifest, 'versions' | 'files'>>>;
  /** What a server checks the model against, in all versions. */
  files: ManifestFiles;
}

/**
 * Hash of a model's sources: the builder's code, the network's arguments, its weights and what is merged into them, the
 * engine to be compiled from it, and whether reference outputs are recorded.
 */
export async function sourcesHash(
  model: ServedModel,
  state: WeightsState,
  engine?: EnginePlan,
  record?: boolean,
  loras?: PlannedLoras,
): Promise<string> {
  const files = state === 'trained' ? await Promise.all(model.sources.map(({ path }) => filesOf(path))) : [];
  const { name, config, maxBatchSize } = model;
  const sources = [name, config, maxBatchSize, state, model.sources, files, engine, record, loras?.records];
  return createHash('sha256')
    .update(await builderHash())
    .update(JSON.stringify(sources))
    .digest('hex');
}

/** Name, size and modification time of a file, or of every file in a folder. */
async function filesOf(path: string): Promise<[string, number, number][]> {
  const names = (await stat(path)).isDirectory() ? (await readdir(path)).sort() : [''];
  return Promise.all(
    names.map(async (name) => {
      const { size, mtimeMs } = await stat(join(path, name));
      return [name, size, mtimeMs];
    }),
  );
}

/**
 * The manifest in a model's folder; undefined if the model is incomplete, or its graph or weights differ from what was
 * built.
 */
export async function readManifest(
  modelFolder: string,
  hashes: FileHashes,
  signal?: AbortSignal,
): Promise<Manifest | undefined> {
  try {
    const files = await manifestFiles(modelFolder);
    await access(join(modelFolder, 'config.pbtxt'));
    if (files === undefined || (await fileFaults(modelFolder, files, hashes, signal)).length > 0) {
      return undefined;
    }
    return JSON.parse(await readFile(join(modelFolder, manifestName), 'utf8')) as Manifest;
  } catch {
    signal?.throwIfAborted();
    return undefined;
  }
}

export async function writeManifest(modelFolder: string, manifest: Manifest): Promise<void> {
  await writeFile(join(modelFolder, manifestName), `${JSON.stringify(manifest, undefined, 2)}\n`);
}

let hashOfBuilder: Promise<string> | undefined;

/** The builder's version: a hash of its code, so that it never needs to be bumped by hand. */
function builderHash(): Promise<string> {
  hashOfBuilder ??= hashCode([
    '.',
    '../graphs',
    '../networks',
    '../references',
    '../checkpoints',
    '../checkpoints/pickle',
    '../lora',
    '../tensorrt',
    '../../services/pipeline/networks',
  ]);
  return hashOfBuilder;
}

async function hashCode(folders: readonly string[]): Promise<string> {
  const hash = createHash('sha256');
  for (const folder of folders) {
    const url = new URL(`${folder}/`, import.meta.url);
    const files = (await readdir(url)).filter((file) => file.endsWith('.js') && !file.endsWith('.test.js')).sort();
    for (const text of await Promise.all(files.map((file) => readFile(new URL(file, url))))) {
      hash.update(text);
    }
  }
  return hash.digest('hex');
}
