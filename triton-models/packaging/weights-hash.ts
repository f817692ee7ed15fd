import { createHash } from 'node:crypto';
import { readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { FileHashes } from '../../services/kit/file-hashes.ts';
import { modelsFolder } from '../../services/pipeline/models-folder.ts';
import type { Preset } from '../../services/pipeline/preset.ts';
import { missingSources } from './checkpoint-source.ts';
import { servedModels } from './served-models.ts';

/** Files in a checkpoint's folder that hold tensors. */
const tensorFile = /\.(safetensors|bin|pt|ckpt)$/;

/**
 * SHA-256 over the checkpoints of a preset: of one line for each file, with the model's name and the file's hash.
 * `undefined` if a checkpoint is not on this machine. Large files are read once; their hashes are kept.
 */
export async function weightsHash(preset: Preset, signal?: AbortSignal): Promise<string | undefined> {
  const hashes = new FileHashes(join(modelsFolder(), 'repository', '.weights.json'));
  const lines: string[] = [];
  for (const { name, sources } of servedModels(preset)) {
    if ((await missingSources(sources)).length > 0) {
      return undefined;
    }
    for (const file of (await Promise.all(sources.map(({ path }) => filesOf(path)))).flat()) {
      lines.push(`${name} ${await hashes.sha256(file, signal)}\n`);
    }
  }
  return createHash('sha256').update(lines.sort().join('')).digest('hex');
}

async function filesOf(path: string): Promise<string[]> {
  if (!(await stat(path)).isDirectory()) {
    return [path];
  }
  const names = await readdir(path);
  return names.filter((name) => tensorFile.test(name)).map((name) => join(path, name));
}
