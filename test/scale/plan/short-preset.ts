import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { presetFolder } from '../../../services/pipeline/preset.ts';

/** Writes nano with few steps, so that many videos are made in minutes; returns the file's path. */
export async function writeShortPreset(folder: string, keyframeSteps: number): Promise<string> {
  const { name: _, ...nano } = JSON.parse(await readFile(join(presetFolder, 'nano.json'), 'utf8'));
  const absolute = (path: string) => join(presetFolder, path);
  nano.textEncoder.tokenizer = absolute(nano.textEncoder.tokenizer);
  nano.weights = Object.fromEntries(
    Object.entries<string>(nano.weights).map(([network, path]) => [network, absolute(path)]),
  );
  nano.world = absolute(nano.world);
  nano.keyframes.defaults.steps = keyframeSteps;
  const file = join(folder, 'short.json');
  await writeFile(file, JSON.stringify({ name: 'short', ...nano }));
  return file;
}
