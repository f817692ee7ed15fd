import { existsSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { parseJson } from '../kit/parse-json.ts';

const maxDepth = 8;

/**
 * The content of a preset file. With `extends`, the name of a preset in the same folder, it holds only what differs from that
 * one: objects are merged, anything else replaces it. Throws an Error if a file can't be read or
 * `extends` leads in a circle.
 */
export function readPresetFile(file: string, depth = 0): unknown {
  const content = parseJson(readFileSync(file, 'utf8'));
  if (!isObject(content) || !('extends' in content)) {
    return content;
  }
  const { extends: base, ...changes } = content;
  if (typeof base !== 'string' || !/^[\w.-]+$/.test(base)) {
    throw new Error(`\`extends\` must be the name of a preset in the same folder (got ${JSON.stringify(base)})`);
  }
  if (depth === maxDepth) {
    throw new Error(`\`extends\` must lead to a whole preset in at most ${maxDepth} steps`);
  }
  const baseFile = join(dirname(file), `${base}.json`);
  if (!existsSync(baseFile)) {
    throw new Error(
      `\`extends\` must be the name of a preset in the same folder (got "${base}"): there is no ${baseFile}`,
    );
  }
  return merge(readPresetFile(baseFile, depth + 1), changes);
}

function merge(base: unknown, changes: unknown): unknown {
  if (!isObject(base) || !isObject(changes)) {
    return changes;
  }
  const merged = Object.entries(changes).map(([name, change]) => [name, merge(base[name], change)]);
  return { ...base, ...Object.fromEntries(merged) };
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
