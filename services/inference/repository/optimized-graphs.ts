import { existsSync } from 'node:fs';
import { open, readdir, rename, rm, stat, utimes } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { makeFolder } from '../../kit/make-folder.ts';
import { dependencyVersion } from '../../kit/package-root.ts';
import { makeTemporaryFolder } from '../../kit/temporary-folder.ts';
import { ModelInstance } from '../execution/model-instance.ts';

/** Larger models load for longer than their graphs take to optimize, and would fill the disk: such a file contains the weights. */
const maxModelBytes = 256 << 20;
/** The files used last are kept. */
const maxFolderBytes = 1 << 30;

/**
 * The file in `folder` for a model's graph as ONNX Runtime optimizes it for any CPU, which loads in less than half the time and gives
 * the same bits; undefined if the model is too large.
 *
 * @param content hash over the version's files
 */
export async function optimizedFileOf(folder: string, modelFile: string, content: string): Promise<string | undefined> {
  const files = await readdir(dirname(modelFile));
  const sizes = await Promise.all(files.map(async (name) => (await stat(join(dirname(modelFile), name))).size));
  const isSmall = sizes.reduce((sum, size) => sum + size, 0) <= maxModelBytes;
  const name = `${content}-${dependencyVersion('onnxruntime-node')}-${basename(modelFile)}`;
  return isSmall ? join(folder, name) : undefined;
}

/** The file if it is there; notes that it was used. */
export async function presentFile(file: string | undefined): Promise<string | undefined> {
  if (file === undefined || !existsSync(file)) {
    return undefined;
  }
  const now = new Date();
  await utimes(file, now, now).catch(() => {});
  return file;
}

/**
 * Writes such a file, whole or not at all.
 *
 * @param requireUnchanged throws if the model's files are no longer those with its hash
 */
export async function writeOptimized(
  file: string,
  modelFile: string,
  requireUnchanged: () => Promise<void>,
): Promise<void> {
  const folder = dirname(file);
  await makeFolder(folder);
  const temporary = makeTemporaryFolder(folder);
  try {
    const written = join(temporary, 'model.onnx');
    const instance = await ModelInstance.start({ modelFile, intraOpThreads: 1, writesOptimized: written });
    await instance.close();
    await requireUnchanged();
    const handle = await open(written, 'r+');
    await handle.sync().finally(() => handle.close());
    await rename(written, file);
    await removeOldest(folder);
  } finally {
    await rm(temporary, { recursive: true, force: true });
  }
}

async function removeOldest(folder: string): Promise<void> {
  const names = (await readdir(folder)).filter((name) => /^[0-9a-f]{64}-/.test(name));
  const files = await Promise.all(
    names.map(async (name) => {
      const { size, mtimeMs } = await stat(join(folder, name));
      return { path: join(folder, name), size, mtimeMs };
    }),
  );
  let total = 0;
  for (const { path, size } of files.sort((a, b) => b.mtimeMs - a.mtimeMs)) {
    total += size;
    if (total > maxFolderBytes) {
      await rm(path, { force: true });
    }
  }
}
