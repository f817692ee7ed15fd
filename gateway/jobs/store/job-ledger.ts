import type { Sql } from 'postgres';
import { retryOnLoss } from '../../database/retry-on-loss.ts';
import type { Verdict } from '../../moderation/moderation.ts';
import type { JobEventKind, JobFailure, JobFile, JobStatus, WebhookEvent } from '../job.ts';
import { channels } from './channels.ts';
import { json, type Snapshot, type StoredSnapshot, storedSnapshot } from './job-rows.ts';
import type { ClaimedJob, StoredCheckpoint } from './leases.ts';
import { wantsCall } from './webhook-calls.ts';

/** The recorded result of a finished stage. */
export interface NewResult {
  stage: string;
  key: string;
  bytes: number;
  sha256: string;
  seconds: number;
  /** See `stageContent()`; absent if the stage could not name its model. */
  content?: string | undefined;
  /** Whether it is kept for other videos when the job has ended. */
  isKept?: boolean;
}

/** How a worker ends a job. */
export type JobOutcome =
  | { state: 'succeeded'; files: JobStatus['files']; frameFiles: readonly JobFile[]; frames: number }
  | { state: 'failed'; failure: JobFailure };

/** Attempts since the last finished stage, by what ended them: a transient failure, a stall or a backend fault. */
export type Tries = Pick<ClaimedJob, 'passingFailures' | 'faults'>;

/** Vital signs of an attempt, watched by its replica. */
export interface Vitals {
  /** When the pending write was first tried, as `performance.now()`; `undefined` if there is none. */
  writingSince: number | undefined;
}

/** The worker lost the job: the job was cancelled, or another replica claimed it. */
export class LeaseLost extends Error {
  constructor(id: string) {
    super(`Job ${id} belongs to another worker or has ended`);
    this.name = 'LeaseLost';
  }
}

/** A change, and what the same transaction writes along with it. */
interface Entry {
  kind: JobEventKind;
  snapshot: StoredSnapshot;
  result?: NewResult;
  verdict?: Verdict;
  outcome?: JobOutcome;
  isPause?: true;
}

export interface LedgerOptions {
  sql: Sql;
  claimed: ClaimedJob;
  /** Replica that holds the lease. */
  owner: string;
  /** Aborts all attempts to write. */
  signal: AbortSignal;
  /** Called with the time at which the pending write was first tried. */
  vitals: Vitals;
  /** Called once when the lease turns out to be lost. */
  onLost(): void;
}

/**
 * Writes a worker's changes to its job, in order. Every write is fenced by owner, attempt and last event number: it
 * takes effect exactly once however often it is retried, and never after the lease is lost. It waits while the database
 * is unreachable.
 */
export class JobLedger {
  readonly #options: LedgerOptions;
  readonly #id: string;
  readonly #attempt: number;
  #status: Snapshot;
  /** Number of the last event known to be written. */
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
    this.#status = { ...options.claimed.row, failure: undefined };
    this.#tries = options.claimed;
  }

  /** The job as it will be once every change is written. */
  get status(): Snapshot {
    return this.#status;
  }

  get tries(): Tries {
    return this.#tries;
  }

  /** Queues a change; changes in quick succession are written together. */
  change(kind: JobEventKind, changes: Partial<Snapshot>): void {
    this.#note(kind, changes);
    // Callers awaiting a later write receive the failure.
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

  /**
   * Records a checkpoint in place of the job's last one; false once the lease is lost. It sends no event, so it does not wait for
   * changes.
   */
  async recordCheckpoint(checkpoint: StoredCheckpoint, signal: AbortSignal): Promise<boolean> {
    const { sql, owner } = this.#options;
    const { stage, step, run, key, bytes, sha256, seconds } = checkpoint;
    const write = () => sql`
      insert into job_checkpoints (job_id, stage, step, run, object_key, bytes, sha256, seconds)
      select id, ${stage}, ${step}::int, ${run}, ${key}, ${bytes}::bigint, ${sha256}, ${seconds}::float8 from jobs
      where id = ${this.#id} and owner = ${owner} and attempt = ${this.#attempt} and state = 'running' for share
      on conflict (job_id) do update set stage = excluded.stage, step = excluded.step, run = excluded.run,
        object_key = excluded.object_key, bytes = excluded.bytes, sha256 = excluded.sha256, seconds = excluded.seconds
      returning 1`;
    return (await this.#insist(write, signal)).length === 1;
  }

  /** Forgets results and the checkpoint, because their model was replaced. Throws LeaseLost. */
  async forget(stages: readonly string[], changes: Partial<Snapshot>): Promise<void> {
    const { sql, owner } = this.#options;
    this.#note('stage', changes);
    await this.settled();
    await this.#insist(
      () => sql`
        with job as (
          select id from jobs
          where id = ${this.#id} and owner = ${owner} and attempt = ${this.#attempt} and state = 'running' for share
        ), checkpoint as (
          delete from job_checkpoints where job_id in (select id from job)
        )
        delete from job_results where job_id in (select id from job) and stage = any(${stages as string[]})`,
    );
  }

  /** Records the verdict on the frames, with a change. Throws LeaseLost. */
  recordVerdict(verdict: Verdict, changes: Partial<Snapshot>): Promise<void> {
    this.#note('stage', changes, { verdict });
    return this.settled();
  }

  /** Ends the job. Throws LeaseLost. */
  finish(outcome: JobOutcome): Promise<void> {
    const { files } = this.#status;
    this.#note(
      'state',
      // A finished video keeps its early pictures.
      outcome.state === 'succeeded'
        ? { state: 'succeeded', frames: outcome.frames, files: { ...files, ...outcome.files } }
        : { state: 'failed', failure: outcome.failure, files: {} },
      { outcome },
    );
    return this.settled();
  }

  /** Whether the job that this one is to pause for still waits. If not, this one no longer has to pause. */
  async mustPause(): Promise<boolean> {
    const { sql } = this.#options;
    const rows = await this.#insist(
      () => sql`
        with other as (
          select other.id from jobs join jobs as other on other.id = jobs.pause_for and other.state = 'queued'
          where jobs.id = ${this.#id}
        ), kept as (
          update jobs set pause_for = null where id = ${this.#id} and not exists (select from other)
        )
        select from other`,
    );
    return rows.length === 1;
  }

  /** Puts the job back into the queue, where it keeps its place. Throws LeaseLost. */
  pause(): Promise<void> {
    this.#note('state', { state: 'queued', pauses: this.#status.pauses + 1 }, { isPause: true });
    return this.settled();
  }

  /** Releases the job: any replica with a free slot may claim it after `delaySeconds`. */
  async release(delaySeconds: number, tries: Tries): Promise<void> {
    await this.settled();
    const { sql, owner } = this.#options;
    await this.#insist(
      () => sql`
        with job as (
          update jobs set owner = null, lease_until = now() + ${delaySeconds}::float8 * interval '1 second',
            passing_failures = ${tries.passingFailures}, stalls = ${tries.faults}
          where id = ${this.#id} and owner = ${owner} and attempt = ${this.#attempt} and state = 'running'
            and revision = ${this.#revision}
          returning id
        )
        select pg_notify(${channels.waiting}, '') from job where ${delaySeconds}::float8 = 0`,
    );
  }

  #insist<T>(write: () => Promise<T>, signal = this.#options.signal): Promise<T> {
    return retryOnLoss(write, { seconds: Number.POSITIVE_INFINITY, signal });
  }

  /** An earlier write may include the change, so everything that belongs to it is queued together. */
  #note(
    kind: JobEventKind,
    changes: Partial<Snapshot>,
    entry: Pick<Entry, 'result' | 'verdict' | 'outcome' | 'isPause'> = {},
  ): void {
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
        // The next write repeats the changes; its waiters receive the failure if it is final.
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

  /** False when this worker has lost the job. */
  async #send(entries: readonly Entry[]): Promise<boolean> {
    const { sql, owner } = this.#options;
    const { state, stages, warnings, failure, files, frames, reusedStages, lostSeconds } = entries.at(-1)!.snapshot;
    const revision = this.#revision + entries.length;
    const events = entries.map(({ kind, snapshot }, index) => ({ kind, snapshot, number: this.#revision + index + 1 }));
    const results = entries.flatMap(({ result }) => result ?? []);
    const outcome = entries.find((entry) => entry.outcome)?.outcome;
    const verdict = entries.find((entry) => entry.verdict)?.verdict;
    const isPause = entries.some((entry) => entry.isPause);
    const rows = await sql`
      with job as (
        update jobs set state = ${state}, stages = ${json(sql, stages)}, warnings = ${json(sql, warnings)},
          failure = ${json(sql, failure)}, files = ${json(sql, files)}, frames = ${frames}, revision = ${revision},
          reused_stages = ${reusedStages}, lost_seconds = ${json(sql, lostSeconds)}
          ${results.length > 0 ? sql`, passing_failures = 0, stalls = 0, crashes = 0` : sql``}
          ${verdict ? sql`, frames_verdict = ${json(sql, verdict)}` : sql``}
          ${outcome || isPause ? sql`, owner = null, lease_until = null` : sql``}
          ${outcome ? sql`, finished_at = now()` : sql``}
          ${isPause ? sql`, pauses = pauses + 1, paused_at = now()` : sql``}
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
              insert into job_results (job_id, stage, object_key, bytes, sha256, seconds, attempt, content, used_at)
              select job.id, result.stage, result.key, result.bytes, result.sha256, result.seconds, ${this.#attempt}::int,
                result.content, case when result."isKept" then now() end
              from job, jsonb_to_recordset(${json(sql, results)}) as result
                (stage text, key text, bytes bigint, sha256 text, seconds float8, content text, "isKept" boolean))`
          : sql``
      }
      ${
        results.length > 0 || outcome
          ? sql`, checkpoint as (delete from job_checkpoints where job_id in (select id from job))`
          : sql``
      }
      ${
        outcome
          ? sql`, results as (
                delete from job_results
                where job_id in (select id from job) ${outcome.state === 'succeeded' ? sql`and used_at is null` : sql``}),
              delivery as (
                insert into webhook_deliveries (job_id, event) select id, ${endOf(outcome)} from job
                where ${wantsCall(sql, endOf(outcome))})`
          : sql``
      }
      select pg_notify(${channels.events}, id || ' ' || ${revision}::text)
        ${isPause ? sql`, pg_notify(${channels.waiting}, '')` : sql``} from job`;
    return rows.length === 1 || (await this.#isWritten(revision, entries.at(-1)!.snapshot));
  }

  /** Whether an attempt whose answer was lost has succeeded; a job that missed its deadline has failed for another reason. */
  async #isWritten(revision: number, { state, failure }: StoredSnapshot): Promise<boolean> {
    const { sql } = this.#options;
    const rows = await sql`
      select 1 from jobs
      where id = ${this.#id} and attempt = ${this.#attempt} and revision = ${revision} and state = ${state}
        and failure is not distinct from ${json(sql, failure)}`;
    return rows.length === 1;
  }
}

function endOf({ state }: JobOutcome): WebhookEvent {
  return state === 'succeeded' ? 'completed' : 'failed';
}
