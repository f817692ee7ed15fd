import { access, copyFile, mkdir, rename } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { type Preset, presetPath } from '../../services/kit/preset.ts';
import { placeFile } from './place-file.ts';

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
    await placeFile(source, target);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code !== 'EROFS' && code !== 'EACCES') {
      throw error;
    }
  }
}

/**
 * Puts the tokenizer, of a checkpoint folder or else the preset's own, into the folder of the text encoder's model, unless
 * one is there: a text encoder that runs elsewhere is given it from there.
 */
export async function includeTokenizer(preset: Preset, modelFolder: string, checkpointFolder?: string): Promise<void> {
  const usual = presetPath(preset, preset.textEncoder.tokenizer);
  const own = checkpointFolder === undefined ? usual : join(checkpointFolder, basename(usual));
  const source = (await exists(own)) ? own : usual;
  const target = join(modelFolder, 'tokenizer.json');
  if ((await exists(source)) && !(await exists(target))) {
    await copyFile(source, `${target}.part`);
    await rename(`${target}.part`, target);
  }
}

function exists(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    () => false,
  );
}
