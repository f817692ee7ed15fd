import { copyFile, link } from 'node:fs/promises';

/**
 * Puts a file into a model's folder under `target`: as a hard link, or as a copy where the file system forbids that.
 * A symbolic link would not do: ONNX Runtime refuses weights that lie outside the model's folder.
 */
export async function placeFile(source: string, target: string): Promise<void> {
  try {
    await link(source, target);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code !== 'EXDEV' && code !== 'EPERM' && code !== 'EMLINK' && code !== 'ENOTSUP' && code !== 'EACCES') {
      throw error;
    }
    await copyFile(source, target);
  }
}
