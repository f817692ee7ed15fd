import { readFile, rename, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { HubFile, HubLocation } from './hub-client.ts';

interface PulledFile extends HubLocation {
  hash: string;
  size: number;
  mtimeMs: number;
}

const fileName = 'pulled.json';

/** What was fetched into a folder and from where, so that gigabytes need not be hashed again to know it. */
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

  /** Whether a file came from here, in any version. */
  has(name: string): boolean {
    return this.#files.has(name);
  }

  /** Whether a file is this version and untouched since it was fetched. */
  async isCurrent(name: string, file: HubFile): Promise<boolean> {
    const pulled = this.#files.get(name);
    const found = await stat(join(this.#folder, name)).catch(() => undefined);
    return pulled?.hash === file.hash.value && pulled.size === found?.size && pulled.mtimeMs === found.mtimeMs;
  }

  async add(name: string, location: HubLocation, file: HubFile): Promise<void> {
    const { size, mtimeMs } = await stat(join(this.#folder, name));
    this.#files.set(name, { ...location, hash: file.hash.value, size, mtimeMs });
    const path = join(this.#folder, fileName);
    await writeFile(`${path}.part`, `${JSON.stringify(Object.fromEntries(this.#files), undefined, 2)}\n`);
    await rename(`${path}.part`, path);
  }
}
