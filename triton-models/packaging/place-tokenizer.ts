import { access, mkdir } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { type Preset, presetPath } from '../../services/kit/preset.ts';
import { placeFile } from './place-file.ts';

/** Puts the tokenizer of a checkpoint folder where the preset's text encoder looks for it, unless one is there. */
export async function placeTokenizer(preset: Preset, checkpointFolder: string): Promise<void> {
  const target = presetPath(preset, preset.textEncoder.tokenizer);
  const source = join(checkpointFolder, basename(target));
  if ((await exists(source)) && !(await exists(target))) {
    await mkdir(dirname(target), { recursive: true });
    await placeFile(source, target);
  }
}

function exists(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    () => false,
  );
}
