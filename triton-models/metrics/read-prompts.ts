import { readFile } from 'node:fs/promises';
import { extname } from 'node:path';
import { z } from 'zod';
import { invalidField } from '../../services/kit/errors.ts';

const schema = z.record(z.string(), z.string().trim().min(1));

/**
 * The prompt of each video: a `.json` object of prompts by video name, or a text with a line for each video in the order
 * of their names. Throws INVALID_ARGUMENT naming what is missing.
 *
 * @param names of the videos, in order
 */
export async function readPrompts(path: string, names: readonly string[]): Promise<string[]> {
  const content = await readFile(path, 'utf8').catch(() => {
    throw invalidField('prompts', path, 'a file that can be read');
  });
  return extname(path).toLowerCase() === '.json' ? byName(path, content, names) : byLine(path, content, names);
}

function byName(path: string, content: string, names: readonly string[]): string[] {
  let prompts: Record<string, string>;
  try {
    prompts = schema.parse(JSON.parse(content));
  } catch {
    throw invalidField('prompts', path, 'a JSON object with a prompt for each video name');
  }
  return names.map((name) => {
    if (!Object.hasOwn(prompts, name)) {
      throw invalidField('prompts', path, `a JSON object with the prompt of every video: "${name}" is missing`);
    }
    return prompts[name]!;
  });
}

function byLine(path: string, content: string, names: readonly string[]): string[] {
  const lines = content
    .split(/\r?\n/)
    .map((line) => line.trim())
    .filter((line) => line !== '');
  if (lines.length !== names.length) {
    const wanted = `text of ${names.length} lines, a prompt for each video in the order of their names`;
    throw invalidField('prompts', path, `${wanted}, but it has ${lines.length}`);
  }
  return lines;
}
