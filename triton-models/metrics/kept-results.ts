import { createHash } from 'node:crypto';
import { type FileHandle, open, readdir, readFile, rm, stat } from 'node:fs/promises';
import { basename, join, resolve } from 'node:path';
import { invalidField } from '../../services/kit/errors.ts';
import { reasonOf } from '../../services/kit/reason-of.ts';

/**
 * Results of single videos in a file beside a command's output, one JSON line each: when the command is interrupted,
 * the next run continues from there. The file is created with the first result and removed when the command ends.
 */
export class KeptResults {
  readonly path: string;
  readonly #known: Map<string, unknown>;
  #file: FileHandle | undefined;
  #writing: Promise<unknown> = Promise.resolve();

  private constructor(path: string, known: Map<string, unknown>) {
    this.path = path;
    this.#known = known;
  }

  /**
   * Throws INVALID_ARGUMENT naming `--output` if the file is there but is another one, which would be lost.
   *
   * @param output file that the command writes in the end
   */
  static async beside(output: string): Promise<KeptResults> {
    const path = `${output}.results.jsonl`;
    const refused = (reason: string) =>
      invalidField('--output', output, `another file name: ${basename(path)}, for results meanwhile, ${reason}`);
    const text = await readFile(path, 'utf8').catch((error: NodeJS.ErrnoException) => {
      if (error.code === 'ENOENT') {
        return '';
      }
      throw refused(`cannot be read (${reasonOf(error)})`);
    });
    const lines = text.split('\n');
    if (text !== '' && !(lines.length > 1 ? parseLine(lines[0]!).length > 0 : text.startsWith('["'))) {
      throw refused('is there and has something else');
    }
    // The last line may be cut short.
    return new KeptResults(path, new Map(lines.slice(0, -1).flatMap(parseLine)));
  }

  /** The kept result of this key, or else that of `compute`, which is then kept. */
  async get<T>(key: string, compute: () => Promise<T>): Promise<{ value: T; wasKept: boolean }> {
    if (this.#known.has(key)) {
      return { value: this.#known.get(key) as T, wasKept: true };
    }
    const value = await compute();
    // One after the other, however many are computed at once.
    const writing = this.#writing.then(async () => {
      this.#file ??= await this.#start();
      await this.#file.write(`${JSON.stringify([key, value])}\n`);
    });
    this.#writing = writing.catch(() => {});
    await writing;
    return { value, wasKept: false };
  }

  /** Closes the file but keeps it for the next run. Returns whether there is one. */
  async close(): Promise<boolean> {
    await this.#file?.close();
    return this.#known.size > 0 || this.#file !== undefined;
  }

  async remove(): Promise<void> {
    await this.close();
    await rm(this.path, { force: true });
  }

  /** Rewrites the known results, which drops a truncated line. */
  async #start(): Promise<FileHandle> {
    const file = await open(this.path, 'w');
    for (const entry of this.#known) {
      await file.write(`${JSON.stringify(entry)}\n`);
    }
    return file;
  }
}

/** The entry of a line; none if the line is damaged or something else. */
function parseLine(line: string): [string, unknown][] {
  try {
    const entry: unknown = JSON.parse(line);
    return Array.isArray(entry) && entry.length === 2 && typeof entry[0] === 'string'
      ? [entry as [string, unknown]]
      : [];
  } catch {
    return [];
  }
}

/** Changes when the file, or any file of the folder, is replaced or modified. */
export async function fileKey(path: string): Promise<string> {
  const stats = await stat(path);
  if (!stats.isDirectory()) {
    return `${resolve(path)} ${stats.size} ${stats.mtimeMs}`;
  }
  // Overwriting a frame in place leaves the folder's own time as it was.
  const hash = createHash('sha256');
  for (const name of (await readdir(path)).sort()) {
    const { size, mtimeMs } = await stat(join(path, name));
    hash.update(`${name} ${size} ${mtimeMs}\n`);
  }
  return `${resolve(path)} ${hash.digest('hex')}`;
}
