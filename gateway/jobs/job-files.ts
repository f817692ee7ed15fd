import { constants } from 'node:fs';
import { access, mkdir, rm, stat } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { invalidField } from '../../services/kit/errors.ts';
import { makeFolder } from '../../services/kit/make-folder.ts';
import { makeTemporaryFolder } from '../../services/kit/temporary-folder.ts';
import { frameFileName } from '../media/png-frames-sink.ts';
import type { JobSettings } from './job.ts';

/** Where the files of jobs lie: a folder for each job, named by its id. */
export class JobFiles {
  readonly #folder: string;
  readonly #temporary: boolean;

  private constructor(folder: string, temporary: boolean) {
    this.#folder = folder;
    this.#temporary = temporary;
  }

  /**
   * Opens a folder, which is made when it is absent. An empty path stands for a temporary one that {@link close} removes.
   * Throws INVALID_ARGUMENT when it cannot be made or written to.
   */
  static async open(path: string): Promise<JobFiles> {
    if (path === '') {
      return new JobFiles(makeTemporaryFolder(), true);
    }
    const folder = resolve(path);
    try {
      await makeFolder(folder);
      await access(folder, constants.W_OK);
    } catch (error) {
      throw invalidField('data folder', path, `a folder that can be made and written to (${(error as Error).message})`);
    }
    return new JobFiles(folder, false);
  }

  /** Makes the folder of a job. */
  async create(id: string): Promise<void> {
    await mkdir(this.#jobFolder(id), { recursive: true });
  }

  video(id: string, format: JobSettings['format']): string {
    return join(this.#jobFolder(id), `video.${format}`);
  }

  storyboard(id: string): string {
    return join(this.#jobFolder(id), 'storyboard.png');
  }

  framesFolder(id: string): string {
    return join(this.#jobFolder(id), 'frames');
  }

  frame(id: string, index: number): string {
    return join(this.framesFolder(id), frameFileName(index));
  }

  /** Bytes of a file. */
  async size(path: string): Promise<number> {
    return (await stat(path)).size;
  }

  /** Removes every file of a job. */
  async remove(id: string): Promise<void> {
    await rm(this.#jobFolder(id), { recursive: true, force: true });
  }

  async close(): Promise<void> {
    if (this.#temporary) {
      await rm(this.#folder, { recursive: true, force: true });
    }
  }

  #jobFolder(id: string): string {
    return join(this.#folder, id);
  }
}
