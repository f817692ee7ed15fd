import type { Sql } from 'postgres';
import type { Logger } from '../../services/kit/log.ts';
import { Rerun } from '../../services/kit/rerun.ts';
import { ask } from '../database/ask.ts';
import { warnUnlessAway } from '../database/outage-log.ts';
import type { ObjectStore } from '../storage/object-store.ts';
import { jobPrefix, picturePrefix, prefixOf } from './object-keys.ts';
import { forgetResult, type KeptResultsBounds, surplusResults } from './store/kept-results.ts';
import { forgetPicture, unusedPictures } from './store/pictures.ts';
import { hiddenJobs, markExpired, type Retention, removeRow } from './store/retention.ts';

const intervalSeconds = 15;

export interface HousekeepingOptions extends Retention, KeptResultsBounds {
  sql: Sql;
  objects: ObjectStore;
  log: Logger;
}

/** Removes expired, surplus and deleted jobs, kept results, and pictures without a job: files first, so that no file is left without its row. */
export class Housekeeping {
  readonly #options: HousekeepingOptions;
  #timer: NodeJS.Timeout | undefined;
  readonly #tidying: Rerun;
  /** By the job's id: a round and a request may meet at the same job. */
  readonly #removals = new Map<string, Promise<void>>();
  #stopped = false;

  constructor(options: HousekeepingOptions) {
    this.#options = options;
    this.#tidying = new Rerun(
      () => this.#tidy(),
      // The next round finds whatever is left.
      (error) => warnUnlessAway(options.log, error, {}, 'old jobs could not be removed'),
    );
  }

  /** Starts the periodic rounds. */
  start(): void {
    this.#timer = setInterval(() => this.run(), intervalSeconds * 1000);
    this.run();
  }

  /** Brings the next round forward. */
  run(): void {
    if (!this.#stopped) {
      this.#tidying.run();
    }
  }

  /** Removes a hidden job. Failures are retried later. */
  async remove(id: string): Promise<void> {
    const removal = this.#removals.get(id) ?? this.#remove(id).finally(() => this.#removals.delete(id));
    this.#removals.set(id, removal);
    await removal.catch((error) =>
      warnUnlessAway(this.#options.log, error, { job: id }, 'a deleted job is not yet removed'),
    );
  }

  /** Removes those of these pictures that no job has. Failures are retried later. */
  async removePictures(ids: readonly string[]): Promise<void> {
    await this.#removePictures(ids).catch((error) =>
      warnUnlessAway(this.#options.log, error, {}, 'an unused picture is not yet removed'),
    );
  }

  async stop(): Promise<void> {
    clearInterval(this.#timer);
    this.#stopped = true;
    await this.#tidying.idle();
  }

  async #tidy(): Promise<void> {
    const { sql } = this.#options;
    await ask(sql, () => markExpired(sql, this.#options));
    const hidden = await ask(sql, () => hiddenJobs(sql));
    for (const id of hidden) {
      if (this.#stopped) {
        return;
      }
      await this.remove(id);
    }
    await this.#removeResults();
    await this.#removeUnused(await ask(sql, () => unusedPictures(sql)));
    // There is more than one round handles: continue, unless nothing could be removed.
    if (hidden.length > 0 && (await ask(sql, () => hiddenJobs(sql)))[0] !== hidden[0]) {
      this.run();
    }
  }

  async #remove(id: string): Promise<void> {
    const { sql, objects } = this.#options;
    await objects.removeAll(jobPrefix(id));
    const picture = await ask(sql, () => removeRow(sql, id));
    await this.#removePictures(picture === undefined ? [] : [picture]);
  }

  async #removePictures(ids: readonly string[]): Promise<void> {
    const { sql } = this.#options;
    if (ids.length > 0) {
      await this.#removeUnused(await ask(sql, () => unusedPictures(sql, ids)));
    }
  }

  async #removeUnused(pictures: readonly string[]): Promise<void> {
    const { sql, objects } = this.#options;
    for (const id of pictures) {
      await objects.removeAll(picturePrefix(id));
      await ask(sql, () => forgetPicture(sql, id));
    }
  }

  async #removeResults(): Promise<void> {
    const { sql, objects } = this.#options;
    const surplus = await ask(sql, () => surplusResults(sql, this.#options));
    for (const result of surplus) {
      if (this.#stopped) {
        return;
      }
      await objects.removeAll(prefixOf(result.key));
      await ask(sql, () => forgetResult(sql, result));
    }
    if (surplus.length > 0) {
      this.run();
    }
  }
}
