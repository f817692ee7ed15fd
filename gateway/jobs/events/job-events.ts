import { Status } from 'nice-grpc-common';
import type { Sql } from 'postgres';
import { FusionError } from '../../../services/kit/errors.ts';
import type { Logger } from '../../../services/kit/log.ts';
import { Rerun } from '../../../services/kit/rerun.ts';
import { ask } from '../../database/ask.ts';
import { outsideRequest } from '../../database/patience.ts';
import { retryOnLoss } from '../../database/retry-on-loss.ts';
import { isFinished, type Job, type JobEvent } from '../job.ts';
import { channels } from '../store/channels.ts';
import { expiry } from '../store/job-rows.ts';
import { type EventRow, readEvents, readRevisions } from '../store/read-jobs.ts';
import { readStoredFailure } from '../store/stored-failure.ts';
import { JobTail } from './job-tail.ts';

/** Events read from the table at a time. */
const pageSize = 64;
/** Longest delay of an event whose notification was lost, in milliseconds. */
const checkInterval = 5000;
/** How long a watch tolerates an unreachable database. */
const patienceSeconds = 30;

interface Watched {
  job: Job;
  tail: JobTail;
  watchers: number;
  /** Reads the job's new events. */
  reading: Rerun;
}

/**
 * Lets any number of callers watch jobs. One connection listens for all of them; the events of a watched job are read
 * once and served to its watchers from memory; a slow watcher reads the table at its own pace.
 */
export class JobEvents {
  readonly #sql: Sql;
  readonly #keepSeconds: number;
  readonly #log: Logger;
  readonly #watched = new Map<string, Watched>();
  readonly #closed = new AbortController();
  #checking: NodeJS.Timeout | undefined;

  /** @param keepSeconds how long a job is kept after its end */
  constructor(sql: Sql, keepSeconds: number, log: Logger) {
    this.#sql = sql;
    this.#keepSeconds = keepSeconds;
    this.#log = log;
  }

  async open(): Promise<void> {
    // Also called after a reconnect, because notifications sent in between are lost.
    const onListening = () => void this.#checkAll();
    await this.#sql.listen(channels.events, (payload) => this.#onNotified(payload), onListening);
    this.#checking = setInterval(() => void this.#checkAll(), checkInterval);
  }

  /** The job's events after number `after`: each exactly once, in order, up to its last. Empty if that is past. */
  async *watch(job: Job, after: number, signal: AbortSignal): AsyncGenerator<JobEvent> {
    const watched = this.#enter(job);
    const reading = AbortSignal.any([signal, this.#closed.signal]);
    try {
      for (let position = after; !(watched.tail.finished && position >= watched.tail.last); ) {
        if (position >= watched.tail.last) {
          await this.#changed(watched, signal);
          continue;
        }
        const event = watched.tail.get(position + 1);
        for (const next of event ? [event] : await this.#readPage(job, position, reading)) {
          yield next;
          position = next.number;
        }
        signal.throwIfAborted();
      }
    } finally {
      this.#leave(watched);
    }
  }

  /** The job as it was after an event. Throws NOT_FOUND. */
  async at(job: Job, number: number): Promise<Job> {
    const [row] = await ask(this.#sql, () => readEvents(this.#sql, job.id, number - 1, 1));
    if (!row) {
      throw deleted(job);
    }
    return this.#toEvent(job, row).job;
  }

  /**
   * Ends every watch: with UNAVAILABLE if its job has not ended.
   *
   * @param readsLast whether to deliver the events so far before
   */
  async close(readsLast: boolean): Promise<void> {
    clearInterval(this.#checking);
    const watched = readsLast ? [...this.#watched.values()] : [];
    const readLast = ({ reading }: Watched) => {
      reading.run();
      return reading.idle();
    };
    await Promise.all(watched.map((each) => readLast(each).catch(() => {})));
    this.#closed.abort();
    for (const { tail } of this.#watched.values()) {
      tail.changed.wake();
    }
  }

  #enter(job: Job): Watched {
    const watched = this.#watched.get(job.id) ?? this.#beginWatch(job);
    watched.watchers++;
    this.#watched.set(job.id, watched);
    // There may have been events since the job was read.
    watched.reading.run();
    return watched;
  }

  #beginWatch(job: Job): Watched {
    const tail = new JobTail(job);
    const reading = new Rerun(
      // For all its watchers, not only the request that is the first.
      () => outsideRequest(() => this.#readNew({ job, tail })),
      // The next notification or check tries again.
      (error) => this.#log.debug({ job: job.id, err: error }, 'cannot read events'),
    );
    return { job, tail, watchers: 0, reading };
  }

  #leave(watched: Watched): void {
    watched.watchers--;
    if (watched.watchers === 0) {
      this.#watched.delete(watched.job.id);
    }
  }

  async #changed({ job, tail }: Watched, signal: AbortSignal): Promise<void> {
    if (!this.#closed.signal.aborted) {
      await tail.changed.wait(signal);
    }
    if (this.#closed.signal.aborted && !tail.finished) {
      throw stopping();
    }
    if (tail.deleted) {
      throw deleted(job);
    }
  }

  async #readPage(job: Job, after: number, signal: AbortSignal): Promise<JobEvent[]> {
    const read = () => readEvents(this.#sql, job.id, after, pageSize);
    const rows = await retryOnLoss(read, { seconds: patienceSeconds, signal }).catch((error) => {
      throw this.#closed.signal.aborted ? stopping() : error;
    });
    if (rows.length === 0) {
      throw deleted(job);
    }
    return rows.map((row) => this.#toEvent(job, row));
  }

  #onNotified(payload: string): void {
    const [id = '', number] = payload.split(' ');
    const watched = this.#watched.get(id);
    if (watched && Number(number) > watched.tail.last) {
      watched.reading.run();
    }
  }

  async #readNew({ job, tail }: Pick<Watched, 'job' | 'tail'>): Promise<void> {
    let rows: EventRow[];
    do {
      rows = await ask(this.#sql, () => readEvents(this.#sql, job.id, tail.last, pageSize));
      tail.add(rows.map((row) => this.#toEvent(job, row)));
    } while (rows.length === pageSize);
  }

  async #checkAll(): Promise<void> {
    if (this.#watched.size === 0) {
      return;
    }
    try {
      const asked = [...this.#watched.values()];
      const ids = asked.map(({ job }) => job.id);
      const revisions = await ask(this.#sql, () => readRevisions(this.#sql, ids));
      for (const watched of asked) {
        const revision = revisions.get(watched.job.id);
        if (revision === undefined) {
          watched.tail.markDeleted();
        } else if (revision > watched.tail.last) {
          watched.reading.run();
        }
      }
    } catch (error) {
      this.#log.debug({ err: error }, 'cannot check watched jobs');
    }
  }

  /** Adds the job as it was after the event. */
  #toEvent(job: Job, { number, at, kind, snapshot, startedAt, finishedAt }: EventRow): JobEvent {
    const after = {
      ...job,
      ...snapshot,
      failure: snapshot.failure ? readStoredFailure(snapshot.failure) : undefined,
      startedAt: snapshot.attempt > 0 ? (startedAt ?? undefined) : undefined,
      finishedAt: isFinished(snapshot) ? (finishedAt ?? undefined) : undefined,
      revision: number,
    };
    const expiresAt = after.finishedAt && (job.expiresAt ?? expiry(after.finishedAt, this.#keepSeconds));
    return { number, at, kind, job: { ...after, expiresAt } };
  }
}

function deleted({ id }: Job): FusionError {
  return new FusionError(Status.NOT_FOUND, `id: job ${id} was deleted`, { reason: 'NO_SUCH_JOB', field: 'id' });
}

function stopping(): FusionError {
  return new FusionError(Status.UNAVAILABLE, 'The gateway is stopping; watch again from the last event', {
    reason: 'STOPPING',
  });
}
