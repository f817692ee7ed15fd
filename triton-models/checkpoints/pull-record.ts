import { readFile, stat, writeFile } from 'node:fs/promises';
import { dirname, join, relative, sep } from 'node:path';
import { writeWhole } from '../../services/kit/write-whole.ts';
import type { HubFile, HubLocation } from './hub-file.ts';

/** A file written by `pull`: from the hub or, without a location, copied from a folder. */
interface PulledFile extends Partial<HubLocation> {
  /** SHA-256 in hexadecimal; for a small file from the hub, git's blob hash. */
  hash: string;
  size: number;
  mtimeMs: number;
}

const fileName = 'pulled.json';

/** Records what `pull` wrote into a folder and from where, so that gigabytes need not be hashed again. */
export class PullRecord {
  readonly #folder: string;
  readonly #files: Map<string, PulledFile>;

  private constructor(folder: string, files: Map<string, PulledFile>) {
    this.#folder = folder;
    this.#files = files;
  }

  static async read(folder: string): Promise<PullRecord> {
    const text = await readFile(join(folder, fileName), 'utf8').catch(() => '{}');
    try {
      return new PullRecord(folder, new Map(Object.entries(JSON.parse(text))));
    } catch {
      return new PullRecord(folder, new Map());
    }
  }

  /** Whether a file came from the hub, at any revision. */
  has(name: string): boolean {
    return this.#files.get(name)?.repository !== undefined;
  }

  /** The commit that every file of a hub's repository is recorded at; undefined if there are none, or several commits. */
  commitOf(repository: string): string | undefined {
    const files = [...this.#files.values()].filter((file) => file.repository === repository);
    const commits = new Set(files.map(({ commit }) => commit));
    return commits.size === 1 ? files[0]!.commit : undefined;
  }

  /** Whether a file is this revision and unchanged since it was fetched. */
  async isCurrent(name: string, file: HubFile): Promise<boolean> {
    return (await this.untouched(name))?.hash === file.hash.value;
  }

  /** The record of a file that is unchanged since `pull` wrote it; undefined for any other. */
  async untouched(name: string): Promise<PulledFile | undefined> {
    const pulled = this.#files.get(name);
    const found = pulled && (await stat(join(this.#folder, name)).catch(() => undefined));
    return pulled?.size === found?.size && pulled?.mtimeMs === found?.mtimeMs ? pulled : undefined;
  }

  /** Records that a current file has the same content at this location, unless it was recorded there. */
  async confirm(name: string, location: HubLocation): Promise<void> {
    const { hash, commit } = this.#files.get(name)!;
    if (commit !== location.commit) {
      await this.add(name, location, hash);
    }
  }

  /** @param location where the file is on the hub; undefined if it was copied from a folder */
  async add(name: string, location: HubLocation | undefined, hash: string): Promise<void> {
    const { size, mtimeMs } = await stat(join(this.#folder, name));
    this.#files.set(name, { ...location, hash, size, mtimeMs });
    const text = `${JSON.stringify(Object.fromEntries(this.#files), undefined, 2)}\n`;
    await writeWhole(join(this.#folder, fileName), (partial) => writeFile(partial, text));
  }
}

/**
 * Whether `pull` wrote a file and it is unchanged since. Such a file belongs to this program, which never rewrites it
 * in place. Also returns its SHA-256, if known.
 */
export async function pulledFile(path: string): Promise<{ sha256: string | undefined } | undefined> {
  // A repository's own checkpoint has its own folder next to the record.
  for (const folder of [dirname(path), dirname(dirname(path))]) {
    const name = relative(folder, path).split(sep).join('/');
    const pulled = await (await PullRecord.read(folder)).untouched(name);
    if (pulled) {
      return { sha256: /^[0-9a-f]{64}$/.test(pulled.hash) ? pulled.hash : undefined };
    }
  }
  return undefined;
}
