import { access, copyFile, mkdir } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { type Preset, presetPath } from '../../services/pipeline/preset.ts';

const tokenizerName = 'tokenizer.json';

/**
 * Puts the tokenizer of a checkpoint folder where the preset's text encoder looks for it, unless one is there already or
 * that is in an image, where nothing is written.
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

/** The tokenizer of a checkpoint folder, or else the preset's own; undefined where there is none. */
export async function findTokenizer(preset: Preset, checkpointFolder?: string): Promise<string | undefined> {
  const usual = presetPath(preset, preset.textEncoder.tokenizer);
  const given = checkpointFolder && join(checkpointFolder, basename(usual));
  if (given && (await exists(given))) {
    return given;
  }
  return (await exists(usual)) ? usual : undefined;
}

/** Whether a model's folder has the tokenizer. */
export function hasTokenizer(modelFolder: string): Promise<boolean> {
  return exists(join(modelFolder, tokenizerName));
}

/** Puts the tokenizer into the folder of the text encoder's model: a text encoder that runs elsewhere is given it from there. */
export async function includeTokenizer(source: string, modelFolder: string): Promise<void> {
  await copyFile(source, join(modelFolder, tokenizerName));
}

function exists(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    () => false,
  );
}
