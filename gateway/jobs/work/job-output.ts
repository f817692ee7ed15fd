import { randomUUID } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { mkdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { explainDiskFull } from '../../../services/kit/disk-full.ts';
import { reasonOf } from '../../../services/kit/reason-of.ts';
import { describeSpan, inSpan } from '../../../services/kit/telemetry/spans.ts';
import type { ObjectStore } from '../../storage/object-store.ts';
import { putVerified } from '../../storage/verified-object.ts';
import type { JobFile } from '../job.ts';
import { fileKey } from '../object-keys.ts';

/** Files uploaded to the object store in parallel; each awaits its own confirmation. */
const storedAtOnce = 8;

export interface JobOutputOptions {
  objects: ObjectStore;
  /** This process's folder for unfinished files. */
  scratch: string;
  id: string;
  attempt: number;
  signal: AbortSignal;
}

/** The files of an attempt: written locally first, then uploaded whole to the object store. */
export class JobOutput {
  readonly #options: JobOutputOptions;
  readonly #folder: string;

  constructor(options: JobOutputOptions) {
    this.#options = options;
    this.#folder = join(options.scratch, `${options.id}-${options.attempt}`);
  }

  /**
   * Lets `write` create files in a fresh scratch folder, then stores the named ones with their media types. Throws
   * RESOURCE_EXHAUSTED when the local disk is full, UNAVAILABLE when a stored file is not there afterwards, and
   * whatever the object store throws.
   */
  async make<Name extends string>(
    write: (folder: string) => Promise<void>,
    files: Readonly<Record<Name, string>>,
  ): Promise<Record<Name, JobFile>> {
    const folder = join(this.#folder, randomUUID());
    try {
      await mkdir(folder, { recursive: true });
      await write(folder);
      const stored: [Name, JobFile][] = [];
      const named = Object.entries(files) as [Name, string][];
      for (let first = 0; first < named.length; first += storedAtOnce) {
        const some = named.slice(first, first + storedAtOnce).map(async ([name, mediaType]) => {
          stored.push([name, await this.#store(folder, name, mediaType)]);
        });
        // Waits for all uploads before throwing: none may finish after the job was cleaned up.
        const failed = (await Promise.allSettled(some)).find((result) => result.status === 'rejected');
        if (failed) {
          throw failed.reason;
        }
      }
      return Object.fromEntries(stored) as Record<Name, JobFile>;
    } catch (error) {
      throw explain(error);
    } finally {
      await rm(folder, { recursive: true, force: true });
    }
  }

  /** Removes everything left on the local disk. */
  async close(): Promise<void> {
    await rm(this.#folder, { recursive: true, force: true });
  }

  async #store(folder: string, name: string, mediaType: string): Promise<JobFile> {
    const { objects, id, attempt, signal } = this.#options;
    const key = fileKey(id, attempt, name.replace('/', '-'));
    return inSpan('fusionframes.file.store', { 'fusionframes.file.name': name }, async () => {
      const stored = await putVerified(objects, key, createReadStream(join(folder, name)), { mediaType, signal });
      describeSpan<'fusionframes.file.store'>({ 'fusionframes.file.bytes': stored.bytes });
      return { key, mediaType, ...stored };
    });
  }
}

function explain(error: unknown): unknown {
  return explainDiskFull(error, 'gateway', { detail: reasonOf(error) });
}
