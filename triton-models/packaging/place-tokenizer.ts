import { access, copyFile, mkdir, stat } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { sha256OfFile } from '../../services/kit/file-hashes.ts';
import type { ManifestFiles } from '../../services/pipeline/model-manifest.ts';
import { type Preset, presetPath } from '../../services/pipeline/preset.ts';

export const tokenizerName = 'tokenizer.json';

/**
 * Copies the tokenizer of a checkpoint folder to where the preset's text encoder looks for it, unless there is one
 * already or that place is in a read-only image.
 */
export async function placeTokenizer(preset: Preset, checkpointFolder: string): Promise<void> {
  const target = presetPath(preset, preset.textEncoder.tokenizer);
  const source = join(checkpointFolder, basename(target));
  if (!(await exists(source)) || (await exists(target))) {
    return;
  }
  try {
    await mkdir(dirname(target), { recursive: true });
    await copyFile(source, target);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code !== 'EROFS' && code !== 'EACCES') {
      throw error;
    }
  }
}

/** The tokenizer of a checkpoint folder, else the preset's own; undefined if there is none. */
export async function findTokenizer(preset: Preset, checkpointFolder?: string): Promise<string | undefined> {
  const usual = presetPath(preset, preset.textEncoder.tokenizer);
  const given = checkpointFolder && join(checkpointFolder, basename(usual));
  if (given && (await exists(given))) {
    return given;
  }
  return (await exists(usual)) ? usual : undefined;
}

/**
 * Copies the tokenizer into the folder of the text encoder's model, where a text encoder on another machine finds it.
 * Returns its entry for the model's manifest.
 */
export async function includeTokenizer(source: string, modelFolder: string): Promise<ManifestFiles> {
  const path = join(modelFolder, tokenizerName);
  await copyFile(source, path);
  return { [tokenizerName]: { bytes: (await stat(path)).size, sha256: await sha256OfFile(path) } };
}

function exists(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    () => false,
  );
}
