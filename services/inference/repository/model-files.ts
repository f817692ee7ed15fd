import { readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import type { FileHashes } from '../../kit/file-hashes.ts';
import { reasonOf } from '../../kit/reason-of.ts';
import { contentHash, fileFaults, manifestFiles, manifestName } from '../../pipeline/model-manifest.ts';
import { internal } from '../errors.ts';
import { pathWithin } from './config-paths.ts';

/**
 * The files of a loaded version. Instances may be opened from them hours later and must find the same content as the first
 * one, or the same request would have two answers.
 */
export class ModelFiles {
  /** Hash over the version's files, which are those of its manifest; undefined if it has none. */
  readonly content: string | undefined;
  readonly #folder: string;
  /** By name. */
  readonly #found: ReadonlyMap<string, string>;

  private constructor(folder: string, found: ReadonlyMap<string, string>, content: string | undefined) {
    this.content = content;
    this.#folder = folder;
    this.#found = found;
  }

  /**
   * Compares the files with the model's manifest, if it has one. Throws INTERNAL naming each file that differs, and if files
   * change during the check.
   */
  static async open(modelFolder: string, version: bigint, hashes: FileHashes): Promise<ModelFiles> {
    const folder = join(modelFolder, String(version));
    const names = await readdir(folder);
    const found = await Promise.all(names.map(async (name) => [name, await identityOf(join(folder, name))] as const));
    const { faults, content } = await compareWithManifest(modelFolder, version, hashes);
    const files = new ModelFiles(folder, new Map(found), content);
    if (faults.length > 0) {
      throw internal(`${faults.join('; ')}; rebuild the model, or restore the files that it was built with`);
    }
    await files.requireUnchanged();
    return files;
  }

  /** Throws INTERNAL naming each file that has changed since it was first read. */
  async requireUnchanged(): Promise<void> {
    const changed: string[] = [];
    for (const [name, identity] of this.#found) {
      if ((await identityOf(join(this.#folder, name))) !== identity) {
        changed.push(name);
      }
    }
    if (changed.length > 0) {
      throw internal(`${changed.join(', ')} in ${this.#folder} changed since the model was loaded: load it again`);
    }
  }
}

async function compareWithManifest(
  modelFolder: string,
  version: bigint,
  hashes: FileHashes,
): Promise<{ faults: string[]; content?: string }> {
  try {
    const files = Object.entries((await manifestFiles(modelFolder)) ?? {});
    const ofVersion = files.filter(([name]) => name.startsWith(`${version}/`));
    for (const [name] of ofVersion) {
      pathWithin(modelFolder, name, manifestName);
    }
    const listed = Object.fromEntries(ofVersion);
    const faults = await fileFaults(modelFolder, listed, hashes);
    return { faults, ...(ofVersion.length > 0 && { content: contentHash(listed) }) };
  } catch (error) {
    return { faults: [`its manifest can't be read: ${reasonOf(error)}`] };
  }
}

async function identityOf(path: string): Promise<string> {
  try {
    const { size, ino, mtimeNs } = await stat(path, { bigint: true });
    return `${size} ${ino} ${mtimeNs}`;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code ?? 'unreadable';
  }
}
