import { realpath } from 'node:fs/promises';
import { isAbsolute, relative, resolve, sep } from 'node:path';
import { invalidField } from '../../services/kit/errors.ts';
import { reasonOf } from '../../services/kit/reason-of.ts';

/** The absolute path of an existing file, which no link leads out of the folder. Throws INVALID_ARGUMENT. */
export async function fileBelow(folder: string, path: string, field: string): Promise<string> {
  const root = await realpath(folder);
  const wanted = resolve(root, path);
  requireBelow(root, wanted, path, field);
  const target = await realpath(wanted).catch((error: Error) => {
    throw invalidField(field, path, `a file that can be read (${reasonOf(error)})`);
  });
  requireBelow(root, target, path, field);
  return target;
}

/** Throws INVALID_ARGUMENT unless a path is below a folder; both without links. */
export function requireBelow(root: string, target: string, path: string, field: string): void {
  const inside = relative(root, target);
  if (inside === '' || inside.split(sep)[0] === '..' || isAbsolute(inside)) {
    throw invalidField(field, path, `a file below ${root}`);
  }
}
