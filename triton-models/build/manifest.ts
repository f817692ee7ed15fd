import { createHash } from 'node:crypto';
import { access, readdir, readFile, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { WeightsState } from './build-model.ts';
import type { ServedModel } from './served-models.ts';

/** What a built model was made from, and what came out. */
export interface Manifest {
  /** Hash of everything that decides what is built. */
  sources: string;
  weights: WeightsState;
  parameters: number;
  /** Size of the weights file. */
  bytes: number;
}

const fileName = 'manifest.json';
const builtFiles = ['config.pbtxt', '1/model.onnx', '1/weights.safetensors'];

/** Hash of a model's sources: the builder's own code, the network's arguments, and which weights it gets. */
export async function sourcesHash(model: ServedModel, state: WeightsState): Promise<string> {
  const checkpoint = state === 'trained' ? await stat(model.checkpoint) : undefined;
  const { name, network, maxBatchSize } = model;
  const sources = [name, network, maxBatchSize, state, model.checkpoint, checkpoint?.size, checkpoint?.mtimeMs];
  return createHash('sha256')
    .update(await builderHash())
    .update(JSON.stringify(sources))
    .digest('hex');
}

/** The manifest in a model's folder; undefined when the folder holds no complete model. */
export async function readManifest(modelFolder: string): Promise<Manifest | undefined> {
  try {
    await Promise.all(builtFiles.map((file) => access(join(modelFolder, file))));
    return JSON.parse(await readFile(join(modelFolder, fileName), 'utf8')) as Manifest;
  } catch {
    return undefined;
  }
}

export async function writeManifest(modelFolder: string, manifest: Manifest): Promise<void> {
  await writeFile(join(modelFolder, fileName), `${JSON.stringify(manifest, undefined, 2)}\n`);
}

let hashOfBuilder: Promise<string> | undefined;

/** A version of the builder that nobody can forget to raise: the hash of its code. */
function builderHash(): Promise<string> {
  hashOfBuilder ??= hashCode(['.', '../graphs', '../checkpoints']);
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
