import type { Sql } from 'postgres';
import { retryOnLoss } from '../../database/retry-on-loss.ts';
import type { JobEventKind, JobFailure, JobFile, JobStatus } from '../job.ts';
import { channels } from './channels.ts';
import { json, type Snapshot, type StoredSnapshot, storedSnapshot } from './job-rows.ts';
import type { ClaimedJob } from './leases.ts';

/** A finished stage's result as it is recorded. */
export interface NewResult {
  stage: string;
  key: string;
  bytes: number;
  sha256: string;
  seconds: number;
}

/** How a job ends in a worker's hands. */
export type JobOutcome =
  | { state: 'succeeded'; files: JobStatus['files']; frameFiles: readonly JobFile[]; frames: number }
  | { state: 'failed'; failure: JobFailure };

/** Attempts since a stage was last finished, by what ended them: a passing reason, lack of progress or a fault. */
export type Tries = Pick<ClaimedJob, 'passingFailures' | 'faults'>;

/** What an attempt's replica watches of it. */
export interface Vitals {
  /** When the current write was first tried, as `performance.now()`; `undefined`: there is none. */
  writingSince: number | undefined;
}

/** This worker has lost the job: it was cancelled, or another replica claimed it. */
export class LeaseLost extends Error {
  constructor(id: string) {
    super(`Job ${id} belongs to another worker or has ended`);
    this.name = 'LeaseLost';
  }
}

/** A change, and what is written with it in the same transaction. */
interface Entry {
  kind: JobEventKind;
  snapshot: StoredSnapshot;
  result?: NewResult;
  outcome?: JobOutcome;
}

export interface LedgerOptions {
  sql: Sql;
  claimed: ClaimedJob;
  /** Replica that holds the lease. */
  owner: string;
  /** Ends every attempt to write. */
  signal: AbortSignal;
  /** Called with when the current write was first tried. */
  vitals: Vitals;
  /** Called once when the lease turns out to be lost. */
  onLost(): void;
}

/**
 * What a worker writes about its job, in order. Every write is fenced by owner, attempt and the number of the last event,
 * so that it happens once however often it is tried, and never after the lease was lost; while the database is away it
 * waits.
 */
export class JobLedger {
  readonly #options: LedgerOptions;
  readonly #id: string;
  readonly #attempt: number;
  #status: Snapshot;
  /** Number of the last event that is known to be written. */
  #revision: number;
  #tries: Tries;
  #pending: Entry[] = [];
  #writing: Promise<void> = Promise.resolve();
  #lost: LeaseLost | undefined;

  constructor(options: LedgerOptions) {
    const { id, attempt, revision } = options.claimed.row;
    this.#options = options;
    this.#id = id;
    this.#attempt = attempt;
    this.#revision = revision;
    this.#status = { ...storedSnapshot(options.claimed.row), failure: undefined };
    this.#tries = options.claimed;
  }

  /** As it will stand when everything is written. */
  get status(): Snapshot {
    return this.#status;
  }

  get tries(): Tries {
    return this.#tries;
  }

  /** Notes a change; it is written soon, several at once when they come fast. */
  change(kind: JobEventKind, changes: Partial<Snapshot>): void {
    this.#note(kind, changes);
    // Waiters for a later write get the failure.
    this.settled().catch(() => {});
  }

  /** Resolves when every change is written. Throws LeaseLost. */
  settled(): Promise<void> {
    const write = this.#writing.then(() => this.#write());
    this.#writing = write.catch(() => {});
    return write;
  }

  /** Records a stage's result, with a change. Throws LeaseLost. */
  record(result: NewResult, changes: Partial<Snapshot>): Promise<void> {
    this.#note('stage', changes, { result });
    this.#tries = { passingFailures: 0, faults: 0 };
    return this.settled();
  }

  /** Ends the job. Throws LeaseLost. */
  finish(outcome: JobOutcome): Promise<void> {
    const { files } = this.#status;
    this.#note(
      'state',
      // The early pictures of a video that was made stay.
      outcome.state === 'succeeded'
        ? { state: 'succeeded', frames: outcome.frames, files: { ...files, ...outcome.files } }
        : { state: 'failed', failure: outcome.failure, files: {} },
      { outcome },
    );
    return this.settled();
  }

  /** Gives the job back: any replica with room may take it on after `delaySeconds`. */
  async release(delaySeconds: number, tries: Tries): Promise<void> {
    await this.settled();
    const { sql, owner } = this.#options;
    await this.#insist(
      () => sql`
        with job as (
          update jobs set owner = null, lease_until = now() + ${delaySeconds}::float8 * interval '1 second',
            passing_failures = ${tries.passingFailures}, stalls = ${tries.faults}
          where id = ${this.#id} and owner = ${owner} and attempt = ${this.#attempt} and state = 'running'
          returning id
        )
        select pg_notify(${channels.waiting}, '') from job where ${delaySeconds}::float8 = 0`,
    );
  }

  #insist<T>(write: () => Promise<T>): Promise<T> {
    return retryOnLoss(write, { seconds: Number.POSITIVE_INFINITY, signal: this.#options.signal });
  }

  /** A write that comes first may take the change along, so all that belongs to it goes with it. */
  #note(kind: JobEventKind, changes: Partial<Snapshot>, entry: Pick<Entry, 'result' | 'outcome'> = {}): void {
    this.#status = { ...this.#status, ...changes };
    this.#pending.push({ kind, snapshot: storedSnapshot(this.#status), ...entry });
  }

  async #write(): Promise<void> {
    if (this.#lost) {
      throw this.#lost;
    }
    const entries = this.#pending.splice(0);
    if (entries.length === 0) {
      return;
    }
    const { vitals } = this.#options;
    vitals.writingSince = performance.now();
    const written = await this.#insist(() => this.#send(entries))
      .catch((error) => {
        // The next write repeats them; its waiters get the failure if they fail for good.
        this.#pending.unshift(...entries);
        throw error;
      })
      .finally(() => (vitals.writingSince = undefined));
    if (!written) {
      this.#lost = new LeaseLost(this.#id);
      this.#options.onLost();
      throw this.#lost;
    }
    this.#revision += entries.length;
  }

  /** False: this worker has lost the job. */
  async #send(entries: readonly Entry[]): Promise<boolean> {
    const { sql, owner } = this.#options;
    const { state, stages, warnings, failure, files, frames } = entries.at(-1)!.snapshot;
    const revision = this.#revision + entries.length;
    const events = entries.map(({ kind, snapshot }, index) => ({ kind, snapshot, number: this.#revision + index + 1 }));
    const results = entries.flatMap(({ result }) => result ?? []);
    const outcome = entries.find((entry) => entry.outcome)?.outcome;
    const rows = await sql`
      with job as (
        update jobs set state = ${state}, stages = ${json(sql, stages)}, warnings = ${json(sql, warnings)},
          failure = ${json(sql, failure)}, files = ${json(sql, files)}, frames = ${frames}, revision = ${revision}
          ${results.length > 0 ? sql`, passing_failures = 0, stalls = 0, crashes = 0` : sql``}
          ${outcome ? sql`, owner = null, lease_until = null, finished_at = now()` : sql``}
          ${outcome?.state === 'succeeded' ? sql`, frame_files = ${json(sql, outcome.frameFiles)}` : sql``}
        where id = ${this.#id} and owner = ${owner} and attempt = ${this.#attempt} and state = 'running'
          and revision = ${this.#revision}
        returning id, webhook
      ), events as (
        insert into job_events (job_id, number, kind, snapshot)
        select job.id, event.number, event.kind, event.snapshot
        from job, jsonb_to_recordset(${json(sql, events)}) as event (number bigint, kind text, snapshot jsonb)
      )
      ${
        results.length > 0
          ? sql`, result as (
              insert into job_results (job_id, stage, object_key, bytes, sha256, seconds, attempt)
              select job.id, result.stage, result.key, result.bytes, result.sha256, result.seconds, ${this.#attempt}::int
              from job, jsonb_to_recordset(${json(sql, results)}) as result
                (stage text, key text, bytes bigint, sha256 text, seconds float8))`
          : sql``
      }
      ${
        outcome
          ? sql`, results as (delete from job_results where job_id in (select id from job)),
              delivery as (insert into webhook_deliveries (job_id) select id from job where webhook is not null)`
          : sql``
      }
      select pg_notify(${channels.events}, id || ' ' || ${revision}::text) from job`;
    return rows.length === 1 || (await this.#isWritten(revision, state));
  }

  /** An attempt whose answer was lost may have succeeded. */
  async #isWritten(revision: number, state: string): Promise<boolean> {
    const rows = await this.#options.sql`
      select 1 from jobs
      where id = ${this.#id} and attempt = ${this.#attempt} and revision = ${revision} and state = ${state}`;
    return rows.length === 1;
  }
}
