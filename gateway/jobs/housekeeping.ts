import type { Sql } from 'postgres';
import type { Logger } from '../../services/kit/log.ts';
import { ask } from '../database/ask.ts';
import { warnUnlessAway } from '../database/outage-log.ts';
import type { ObjectStore } from '../storage/object-store.ts';
import { jobPrefix } from './object-keys.ts';
import { hiddenJobs, markExpired, type Retention, removeRow } from './store/retention.ts';

const intervalSeconds = 15;

export interface HousekeepingOptions extends Retention {
  sql: Sql;
  objects: ObjectStore;
  log: Logger;
}

/** Removes jobs that are too old, too many or deleted: their files first, so that none is left without its row. */
export class Housekeeping {
  readonly #options: HousekeepingOptions;
  #timer: NodeJS.Timeout | undefined;
  #running: Promise<void> | undefined;
  #again = false;
  #stopped = false;

  constructor(options: HousekeepingOptions) {
    this.#options = options;
  }

  /** Looks now and then. */
  start(): void {
    this.#timer = setInterval(() => this.run(), intervalSeconds * 1000);
    this.run();
  }

  /** Looks soon. */
  run(): void {
    if (this.#running || this.#stopped) {
      this.#again = true;
      return;
    }
    this.#running = this.#tidy()
      // What is left is found again next time.
      .catch((error) => warnUnlessAway(this.#options.log, error, {}, 'old jobs could not be removed'))
      .finally(() => {
        this.#running = undefined;
        if (this.#again) {
          this.#again = false;
          this.run();
        }
      });
  }

  /** Removes a job that is hidden already. What fails is tried again later. */
  async remove(id: string): Promise<void> {
    const { sql, objects, log } = this.#options;
    try {
      await objects.removeAll(jobPrefix(id));
      await ask(() => removeRow(sql, id));
    } catch (error) {
      warnUnlessAway(log, error, { job: id }, 'a deleted job is not yet removed');
    }
  }

  async stop(): Promise<void> {
    clearInterval(this.#timer);
    this.#stopped = true;
    await this.#running;
  }

  async #tidy(): Promise<void> {
    const { sql } = this.#options;
    await ask(() => markExpired(sql, this.#options));
    const hidden = await ask(() => hiddenJobs(sql));
    for (const id of hidden) {
      if (this.#stopped) {
        return;
      }
      await this.remove(id);
    }
    // More than one look takes: on to the next, unless it was all in vain.
    this.#again ||= hidden.length > 0 && (await ask(() => hiddenJobs(sql)))[0] !== hidden[0];
  }
}
