import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdir, open, readdir, readFile, rename, rm, stat, utimes, writeFile } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { FileHashes } from '../../kit/file-hashes.ts';
import { libraryVariables } from '../../kit/library-variables.ts';
import { makeFolder } from '../../kit/make-folder.ts';
import { dependencyVersion } from '../../kit/package-root.ts';
import { makeTemporaryFolder } from '../../kit/temporary-folder.ts';

/** Larger models load for longer than their graphs take to optimize, and would fill the disk: weights are kept with a graph. */
const maxModelBytes = 256 << 20;
/** The graphs used last are kept. */
const maxFolderBytes = 1 << 30;
const maxWriteSeconds = 600;
/** Beside a graph: the SHA-256 of its files, and those found last. */
const writtenName = 'written.json';
const hashesName = 'hashes.json';

const writer = fileURLToPath(new URL('../execution/write-optimized.js', import.meta.url));

/**
 * The file for a model's graph as ONNX Runtime optimizes it for any CPU, which loads in less than half the time and gives the same
 * bits; undefined if the model is too large. It is in a folder of its own, with the weights beside it: ONNX Runtime maps those into
 * memory, while weights within a graph are copied three times.
 *
 * @param folder of all such graphs
 * @param content hash over the version's files
 */
export async function optimizedFileOf(folder: string, modelFile: string, content: string): Promise<string | undefined> {
  const isSmall = (await bytesOf(dirname(modelFile))) <= maxModelBytes;
  const name = `${content}-${dependencyVersion('onnxruntime-node')}-${basename(modelFile, '.onnx')}`;
  return isSmall ? join(folder, name, 'model.onnx') : undefined;
}

/** The file if it is there with its weights as they were written; notes that it was used. Removes damaged ones. */
export async function presentFile(file: string | undefined): Promise<string | undefined> {
  if (file === undefined || !existsSync(file)) {
    return undefined;
  }
  const folder = dirname(file);
  if (!(await isWhole(folder))) {
    await rm(folder, { recursive: true, force: true });
    return undefined;
  }
  const now = new Date();
  await utimes(folder, now, now).catch(() => {});
  return file;
}

/** Files are read again only if they look different than before. */
async function isWhole(folder: string): Promise<boolean> {
  try {
    const written: Record<string, string> = JSON.parse(await readFile(join(folder, writtenName), 'utf8'));
    const hashes = new FileHashes(join(folder, hashesName));
    const found = await Promise.all(Object.keys(written).map((name) => hashes.sha256(join(folder, name))));
    return found.join() === Object.values(written).join();
  } catch {
    return false;
  }
}

/** Notes what was written, for {@link isWhole}. */
async function noteWritten(folder: string): Promise<void> {
  const hashes = new FileHashes(join(folder, hashesName));
  const names = await readdir(folder);
  const sums = await Promise.all(names.map((name) => hashes.sha256(join(folder, name))));
  const written = Object.fromEntries(names.map((name, index) => [name, sums[index]]));
  await writeFile(join(folder, writtenName), JSON.stringify(written));
}

let lastWriting: Promise<unknown> = Promise.resolve();

/**
 * Writes such a file and its weights, both or neither, after those of earlier calls. Rejects if that fails, and with the signal's
 * reason.
 *
 * @param requireUnchanged throws if the model's files are no longer those with its hash
 */
export function writeOptimized(
  file: string,
  modelFile: string,
  requireUnchanged: () => Promise<void>,
  signal: AbortSignal,
): Promise<void> {
  const writing = lastWriting.then(() => write(file, modelFile, requireUnchanged, signal));
  lastWriting = writing.catch(() => {});
  return writing;
}

async function write(
  file: string,
  modelFile: string,
  requireUnchanged: () => Promise<void>,
  signal: AbortSignal,
): Promise<void> {
  signal.throwIfAborted();
  const kept = dirname(file);
  const folder = dirname(kept);
  await makeFolder(folder);
  const temporary = makeTemporaryFolder(folder);
  try {
    const written = join(temporary, 'written');
    await mkdir(written);
    // In a process of its own: in this one, most of the memory that it takes would stay.
    await promisify(execFile)(process.execPath, [writer, modelFile, join(written, basename(file))], {
      env: { ...libraryVariables(), ORT_DISABLE_TELEMETRY: '1' },
      timeout: maxWriteSeconds * 1000,
      killSignal: 'SIGKILL',
      signal,
      windowsHide: true,
    });
    await requireUnchanged();
    await noteWritten(written);
    for (const name of await readdir(written)) {
      const handle = await open(join(written, name), 'r+');
      await handle.sync().finally(() => handle.close());
    }
    // What is left of a damaged one.
    await rm(kept, { recursive: true, force: true });
    await rename(written, kept);
    await removeOldest(folder);
  } finally {
    await rm(temporary, { recursive: true, force: true });
  }
}

async function removeOldest(folder: string): Promise<void> {
  const entries = await readdir(folder, { withFileTypes: true });
  const folders = entries.filter((entry) => entry.isDirectory() && /^[0-9a-f]{64}-/.test(entry.name));
  const graphs = await Promise.all(
    folders.map(async ({ name }) => {
      const path = join(folder, name);
      return { path, size: await bytesOf(path), mtimeMs: (await stat(path)).mtimeMs };
    }),
  );
  let total = 0;
  for (const { path, size } of graphs.sort((a, b) => b.mtimeMs - a.mtimeMs)) {
    total += size;
    if (total > maxFolderBytes) {
      await rm(path, { recursive: true, force: true });
    }
  }
}

async function bytesOf(folder: string): Promise<number> {
  const names = await readdir(folder);
  const sizes = await Promise.all(names.map(async (name) => (await stat(join(folder, name))).size));
  return sizes.reduce((sum, size) => sum + size, 0);
}
