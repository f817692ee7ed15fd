import type { Sql } from 'postgres';
import type { Logger } from '../../../services/kit/log.ts';
import { answerInTime, ask } from '../../database/ask.ts';
import { outsideRequest } from '../../database/patience.ts';
import type { Models } from '../../models/models.ts';
import type { Job } from '../job.ts';
import { readQueue } from '../store/read-queue.ts';
import { videoWork } from '../video-work.ts';
import type { Pause } from './choose-pauses.ts';
import { Forecast } from './forecast.ts';
import type { QueuePlace } from './queue-place.ts';
import type { QueuedJob } from './queue-snapshot.ts';

/** A forecast is used for this long, and for this many times as long as it took to make, milliseconds. */
const freshMilliseconds = 1000;
const restFactor = 4;

export interface QueuePlacesOptions {
  sql: Sql;
  models: Models;
  /** Jobs of each model and version that this gateway works on at once. */
  concurrentJobs: number;
  log: Logger;
}

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

  /**
   * The places that new jobs would have if they were accepted together, and the time by the database's clock; undefined if
   * the database does not answer.
   */
  async ofNew(
    jobs: readonly Omit<QueuedJob, 'id' | 'sequence'>[],
  ): Promise<{ places: QueuePlace[]; now: number } | undefined> {
    const forecast = await this.#latest();
    return forecast && { places: forecast.placesOfNew(jobs), now: forecast.now };
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
  if (job.state === 'running') {
    return { position: 0, startsAt: job.startedAt, readyAt: forecast.readyAt(job) };
  }
  return job.state === 'queued'
    ? forecast.placeOf({ ...job, work: videoWork(job.settings, models.presetOf(job)) })
    : undefined;
}
