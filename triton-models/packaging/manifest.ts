import { createHash } from 'node:crypto';
import { access, readdir, readFile, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { EnginePlan } from '../tensorrt/plan-engines.ts';
import type { ServedModel } from './served-models.ts';
import type { WeightsState } from './weights-state.ts';

/** What a built model was made from, and what came out. */
export interface Manifest {
  /** Hash of everything that decides what is built. */
  sources: string;
  weights: WeightsState;
  parameters: number;
  /** Bytes that the parameters take. */
  bytes: number;
  /** Names of the files with them, in the folder of the graph, and their sizes in bytes. */
  files: Record<string, number>;
  /** sha256 of `model.onnx`. */
  graph: string;
}

const fileName = 'manifest.json';

/**
 * Hash of a model's sources: the builder's own code, the network's arguments, which weights it gets, and the engine that
 * is to be compiled from it.
 */
export async function sourcesHash(model: ServedModel, state: WeightsState, engine?: EnginePlan): Promise<string> {
  const files = state === 'trained' ? await Promise.all(model.sources.map(({ path }) => filesOf(path))) : [];
  const { name, network, maxBatchSize } = model;
  const sources = [name, network, maxBatchSize, state, model.sources, files, engine];
  return createHash('sha256')
    .update(await builderHash())
    .update(JSON.stringify(sources))
    .digest('hex');
}

/** Name, size and time of a file, or of every file in a folder. */
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
 * The manifest in a model's folder; undefined when the folder holds no complete model, or another graph than was built.
 * Of weights only the sizes are looked at: they are gigabytes, and whatever changes the checkpoint's files in place
 * changes `sources`.
 */
export async function readManifest(modelFolder: string): Promise<Manifest | undefined> {
  try {
    const manifest = JSON.parse(await readFile(join(modelFolder, fileName), 'utf8')) as Manifest;
    await access(join(modelFolder, 'config.pbtxt'));
    const sizes = await Promise.all(
      Object.entries(manifest.files).map(
        async ([file, size]) => (await stat(join(modelFolder, '1', file))).size === size,
      ),
    );
    const isWhole = sizes.every(Boolean) && (await graphHash(modelFolder)) === manifest.graph;
    return isWhole ? manifest : undefined;
  } catch {
    return undefined;
  }
}

/** sha256 of the graph in a model's folder. */
export async function graphHash(modelFolder: string): Promise<string> {
  const graph = await readFile(join(modelFolder, '1', 'model.onnx'));
  return createHash('sha256').update(graph).digest('hex');
}

export async function writeManifest(modelFolder: string, manifest: Manifest): Promise<void> {
  await writeFile(join(modelFolder, fileName), `${JSON.stringify(manifest, undefined, 2)}\n`);
}

let hashOfBuilder: Promise<string> | undefined;

/** The builder's version, which cannot be forgotten: the hash of its code. */
function builderHash(): Promise<string> {
  hashOfBuilder ??= hashCode(['.', '../graphs', '../checkpoints', '../checkpoints/pickle', '../tensorrt']);
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
