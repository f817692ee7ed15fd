import { realpathSync } from 'node:fs';
import { join, relative, sep } from 'node:path';
import { invalidArgument } from '../errors.ts';

/**
 * The path of a file named in a model's configuration, with links resolved if it exists. Clients can send configurations and
 * could otherwise read or probe any file. Throws INVALID_ARGUMENT for a path outside the model's folder.
 *
 * @param field of the configuration, with the model's name
 */
export function pathWithin(folder: string, name: string, field: string): string {
  const file = join(folder, name);
  if (!isWithin(folder, file) || !isWithin(resolved(folder), resolved(file))) {
    throw invalidArgument(`${field}: '${name}' must stay within the model's folder`);
  }
  return file;
}

function isWithin(folder: string, file: string): boolean {
  const path = relative(folder, file);
  return path !== '..' && !path.startsWith(`..${sep}`);
}

/** A missing file has no links, but its folder may be one. */
function resolved(path: string): string {
  try {
    return realpathSync(path);
  } catch {
    const parent = join(path, '..');
    return parent === path ? path : join(resolved(parent), path.slice(parent.length));
  }
}
