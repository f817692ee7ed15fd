import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { readFile, stat, writeFile } from 'node:fs/promises';
import { dirname, relative } from 'node:path';
import { writeWhole } from './write-whole.ts';

/** Identifies a file's content without reading it. */
interface Identity {
  /** Bytes. */
  size: number;
  inode: string;
  /** Modification time, in nanoseconds. */
  changed: string;
}

type Known = Record<string, Identity & { sha256: string }>;

/**
 * SHA-256 of files. A file with the same size, inode and modification time as before keeps its hash. Hashes are cached
 * in a file, if it can be written, so that gigabytes are not read again at every start.
 */
export class FileHashes {
  readonly #cache: string;
  #known: Promise<Known> | undefined;
  #writing: Promise<void> = Promise.resolve();

  /** @param cache where the hashes are kept, by paths relative to its folder */
  constructor(cache: string) {
    this.#cache = cache;
  }

  /** In hexadecimal. Rejects with the system's error when the file can't be read, and when `signal` aborts. */
  async sha256(path: string, signal?: AbortSignal): Promise<string> {
    const before = await identityOf(path);
    const known = (await this.#read())[this.#keyOf(path)];
    if (known && isSame(known, before)) {
      return known.sha256;
    }
    const sha256 = await sha256OfFile(path, () => {}, signal);
    // The hash of a file that changes while it is read is worthless.
    if (isSame(before, await identityOf(path))) {
      await this.note(path, sha256);
    }
    return sha256;
  }

  /** Stores a hash that is already known. */
  async note(path: string, sha256: string): Promise<void> {
    const known = await this.#read();
    known[this.#keyOf(path)] = { ...(await identityOf(path)), sha256 };
    this.#writing = this.#writing.then(() => this.#write(known));
    await this.#writing;
  }

  #keyOf(path: string): string {
    return relative(dirname(this.#cache), path);
  }

  #read(): Promise<Known> {
    this.#known ??= readFile(this.#cache, 'utf8')
      .then((text) => JSON.parse(text) as Known)
      .catch(() => ({}));
    return this.#known;
  }

  /** A folder that cannot be written only costs time at the next start. */
  async #write(known: Known): Promise<void> {
    const text = `${JSON.stringify(known, undefined, 2)}\n`;
    await writeWhole(this.#cache, (partial) => writeFile(partial, text)).catch(() => {});
  }
}

/** SHA-256 of a file's content in hexadecimal. `onBytes` receives how many bytes were read. */
export async function sha256OfFile(
  path: string,
  onBytes: (count: number) => void = () => {},
  signal?: AbortSignal,
): Promise<string> {
  const hash = createHash('sha256');
  for await (const piece of createReadStream(path, { highWaterMark: 2 ** 20 })) {
    signal?.throwIfAborted();
    hash.update(piece);
    onBytes(piece.length);
  }
  return hash.digest('hex');
}

async function identityOf(path: string): Promise<Identity> {
  const { size, ino, mtimeNs } = await stat(path, { bigint: true });
  return { size: Number(size), inode: String(ino), changed: String(mtimeNs) };
}

function isSame(a: Identity, b: Identity): boolean {
  return a.size === b.size && a.inode === b.inode && a.changed === b.changed;
}
