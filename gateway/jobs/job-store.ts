import type { Job, JobOutcome, JobProgress, NewJob } from './job.ts';

/** A job that a worker has taken on. */
export interface Claim {
  job: Job;
  /** Aborts when the job is ended by anybody else: cancelled. */
  ended: AbortSignal;
}

/** Keeps the truth about jobs. Every change is atomic; what has ended never changes again. */
export interface JobStore {
  /**
   * Accepts a job, or gives the one that the same client id and fingerprint already made. Throws ALREADY_EXISTS (the same
   * client id, another fingerprint) or RESOURCE_EXHAUSTED (too many jobs wait).
   */
  create(job: NewJob): Promise<Job>;
  get(id: string): Promise<Job | undefined>;
  /** Newest first: at most `limit` jobs, accepted before the one with sequence number `before`. */
  list(limit: number, before: number | undefined): Promise<Job[]>;
  /** Waits for the job that has been queued longest and marks it running. Throws an AbortError when `signal` aborts. */
  claim(signal: AbortSignal): Promise<Claim>;
  /** Records what a running job has done; without effect when it has ended. */
  update(id: string, progress: JobProgress): Promise<void>;
  /** Ends a queued or running job; false when it had ended before or does not exist. */
  finish(id: string, outcome: JobOutcome): Promise<boolean>;
  /** Forgets a job that has ended; false when there is none. */
  delete(id: string): Promise<boolean>;
  /** Ids of the jobs that have ended, without the latest `keep` of them. */
  finishedBeyond(keep: number): Promise<string[]>;
  /**
   * The job as it is now and after changes, up to the end it comes to. A reader that is slower than the changes misses
   * some, never the last. Nothing when there is no such job.
   */
  watch(id: string, signal: AbortSignal): AsyncIterable<Job>;
  /** Ends whatever would be lost with the store. */
  close(): Promise<void>;
}
