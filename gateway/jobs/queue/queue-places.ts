import type { Sql, TransactionSql } from 'postgres';
import type { Logger } from '../../../services/kit/log.ts';
import { answerInTime, ask } from '../../database/ask.ts';
import { outsideRequest } from '../../database/patience.ts';
import type { Models } from '../../models/models.ts';
import type { Job } from '../job.ts';
import { readAccepted, readKey, readQueue, readQueueWithin } from '../store/read-queue.ts';
import { videoWork, workSettings } from '../video-work.ts';
import type { Pause } from './choose-pauses.ts';
import { Forecast } from './forecast.ts';
import type { QueuePlace } from './queue-place.ts';
import type { QueuedJob } from './queue-snapshot.ts';

/** A forecast is used for this long, and for this many times as long as it took to make, milliseconds. */
const freshMilliseconds = 1000;
const restFactor = 4;

/** Jobs that it takes note of afterwards, and their keys. */
const maxAccepted = 200;
const maxUnknown = 20;

export interface QueuePlacesOptions {
  sql: Sql;
  models: Models;
  /** Jobs of each model and version that this gateway works on at once. */
  concurrentJobs: number;
  log: Logger;
}

/**
 * Finds new jobs' places in the transaction that creates them, and the time by the database's clock; undefined if no
 * forecast could be made. While it runs, no other jobs can be created.
 */
export type FindPlaces = (sql: TransactionSql) => Promise<{ places: QueuePlace[]; now: number } | undefined>;

/** Finds jobs' places in the queue. One forecast serves every caller for a second. */
export class QueuePlaces {
  readonly #options: QueuePlacesOptions;
  #forecast: Promise<Forecast | undefined> | undefined;
  #usableUntil = 0;

  constructor(options: QueuePlacesOptions) {
    this.#options = options;
  }

  /** The jobs with their places; without them if the database does not answer. */
  async addTo(jobs: readonly Job[]): Promise<Job[]> {
    if (!jobs.some(({ state }) => state === 'queued' || state === 'running')) {
      return [...jobs];
    }
    const forecast = await this.#latest();
    return jobs.map((job) => ({ ...job, queue: forecast && placeOf(job, forecast, this.#options.models) }));
  }

  /** Prepares to find the places of new jobs of one key that are accepted together. */
  async ofNew(jobs: readonly Omit<QueuedJob, 'id' | 'sequence'>[]): Promise<FindPlaces> {
    const forecast = await this.#latest();
    return async (sql) => {
      if (!forecast) {
        return undefined;
      }
      const current = await this.#current(forecast, sql, jobs[0]!.keyId);
      return { places: current.placesOfNew(jobs), now: current.now };
    };
  }

  /**
   * The forecast with all jobs that have been accepted since, at any gateway, and the key of those to create; a new one after
   * very many: reading the whole queue takes long, and other creations wait.
   */
  async #current(forecast: Forecast, sql: TransactionSql, keyId: string): Promise<Forecast> {
    const accepted = await readAccepted(sql, forecast.nextSequence, maxAccepted + 1);
    const keyIds = new Set([keyId, ...accepted.map((job) => job.keyId)]);
    const unknown = [...keyIds].filter((id) => !forecast.knows(id));
    if (accepted.length > maxAccepted || unknown.length > maxUnknown) {
      return this.#renew(sql, keyId);
    }
    for (const key of await Promise.all(unknown.map((id) => readKey(sql, id)))) {
      forecast.learn(key);
    }
    forecast.accept(accepted);
    return forecast;
  }

  async #renew(sql: TransactionSql, keyId: string): Promise<Forecast> {
    const { models, concurrentJobs } = this.#options;
    const fresh = new Forecast(await readQueueWithin(sql, concurrentJobs), (job) => models.presetOf(job));
    if (!fresh.knows(keyId)) {
      fresh.learn(await readKey(sql, keyId));
    }
    this.#forecast = Promise.resolve(fresh);
    this.#usableUntil = performance.now() + freshMilliseconds;
    return fresh;
  }

  /** The running jobs of `own` that may be paused now; none if the database does not answer. */
  async pauses(own: readonly string[], minSeconds: number): Promise<Pause[]> {
    return (await this.#latest())?.pauses(new Set(own), minSeconds) ?? [];
  }

  /** The shared forecast; undefined if it takes longer than the current request may wait. */
  #latest(): Promise<Forecast | undefined> {
    return answerInTime(() => this.#shared()).catch(() => undefined);
  }

  #shared(): Promise<Forecast | undefined> {
    if (!this.#forecast || performance.now() >= this.#usableUntil) {
      this.#usableUntil = Number.POSITIVE_INFINITY;
      const started = performance.now();
      this.#forecast = outsideRequest(() => this.#make())
        .catch((error) => {
          this.#options.log.debug({ err: error }, 'the queue could not be read');
          return undefined;
        })
        .finally(() => {
          const ended = performance.now();
          this.#usableUntil = ended + Math.max(freshMilliseconds, restFactor * (ended - started));
        });
    }
    return this.#forecast;
  }

  async #make(): Promise<Forecast> {
    const { sql, models, concurrentJobs } = this.#options;
    const queue = await ask(sql, () => readQueue(sql, concurrentJobs));
    return new Forecast(queue, (job) => models.presetOf(job));
  }
}

function placeOf(job: Job, forecast: Forecast, models: Models): QueuePlace | undefined {
  if (job.settingsFault !== undefined) {
    return undefined;
  }
  const settings = workSettings(job);
  if (job.state === 'running') {
    return { position: 0, startsAt: job.startedAt, readyAt: forecast.readyAt({ ...job, settings }) };
  }
  return job.state === 'queued'
    ? forecast.placeOf({ ...job, settings, work: videoWork(settings, models.presetOf(job)) })
    : undefined;
}
