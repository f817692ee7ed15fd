import { copyFile, link } from 'node:fs/promises';

const impossible = ['EXDEV', 'EPERM', 'EMLINK', 'ENOTSUP', 'EACCES'];

/**
 * Hard-links `target` to a file; false if the file system does not allow it. A symbolic link would not work: ONNX
 * Runtime rejects weights outside the model's folder.
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

/** Hard-links a file, or copies it if necessary. Only for folders that live no longer than the file stays unchanged. */
export async function linkOrCopy(source: string, target: string): Promise<void> {
  if (!(await tryLink(source, target))) {
    await copyFile(source, target);
  }
}
