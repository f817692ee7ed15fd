import { copyFile, link } from 'node:fs/promises';

const impossible = ['EXDEV', 'EPERM', 'EMLINK', 'ENOTSUP', 'EACCES'];

/**
 * Makes `target` a hard link to a file; false where the file system forbids that. A symbolic link would not do: ONNX
 * Runtime refuses weights outside the model's folder.
 */
export async function tryLink(source: string, target: string): Promise<boolean> {
  try {
    await link(source, target);
    return true;
  } catch (error) {
    if (!impossible.includes((error as NodeJS.ErrnoException).code ?? '')) {
      throw error;
    }
    return false;
  }
}

/** A hard link, or a copy where the file system forbids that: for folders that last as long as the file stays as it is. */
export async function linkOrCopy(source: string, target: string): Promise<void> {
  if (!(await tryLink(source, target))) {
    await copyFile(source, target);
  }
}
