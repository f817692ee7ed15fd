import type { ErrorReason } from '../../services/kit/error-reasons.ts';
import type { NamedFile } from '../../services/pipeline/job-files.ts';
import { isFinalState, type JobStateName } from '../../services/pipeline/job-states.ts';
import type { StageName } from '../../services/pipeline/stages.ts';
import type { JobSettings } from '../../services/pipeline/video-options.ts';

export type JobState = JobStateName;

/** A stage that a job has begun. */
export interface StageProgress {
  stage: StageName;
  /** Steps (or frames) done, of `total`. */
  step: number;
  total: number;
  /** Time spent in the stage so far. */
  seconds: number;
  /** No replica serves the stage at present: the job waits for one. */
  waiting?: true;
}

export interface JobFailure {
  /** Name of a gRPC status code. */
  code: string;
  /** The stage that was under way; absent when none had begun. */
  stage?: StageName | undefined;
  /** What went wrong, for people; called so in stored jobs and in the contract. */
  reason: string;
  /** Stable name of the kind of fault, such as PREDICTION_NOT_FINITE; absent from jobs of earlier releases. */
  errorReason?: ErrorReason;
  /** The attempt that failed, from 1. */
  attempt: number;
}

export type JobFileName = NamedFile | { frame: number };

/** A file of a job in the object store. */
export interface JobFile {
  /** Its name in the object store. */
  key: string;
  mediaType: string;
  bytes: number;
  /** Hexadecimal. */
  sha256: string;
}

/** Webhook URL and signing secret. */
export interface Webhook {
  url: string;
  secret: string;
}

/** A stored webhook. Its secret is encrypted, except in rows of earlier releases. */
export type StoredWebhook = Webhook | { url: string; sealed: string };

/** What changes while a job lives; every change is an event with a snapshot of all of it. */
export interface JobStatus {
  readonly state: JobState;
  /** How often the job was begun; 0 while it waits for its first time. */
  readonly attempt: number;
  /** The stages begun so far, in order; one entry for each interpolation pass. */
  readonly stages: readonly StageProgress[];
  readonly warnings: readonly string[];
  readonly failure: JobFailure | undefined;
  readonly files: Readonly<Partial<Record<NamedFile, JobFile>>>;
  /** Frames of the finished video; 0 before. */
  readonly frames: number;
  readonly startedAt: Date | undefined;
  readonly finishedAt: Date | undefined;
}

/** What is known of a job. Never changed in place: a change makes a new one. */
export interface Job extends JobStatus {
  readonly id: string;
  /** Grows from job to job: the order in which they were accepted. */
  readonly sequence: number;
  /** Of the API key that created it; empty without keys. */
  readonly keyId: string;
  /** Chosen by the client to make its request repeatable; empty when it chose none. */
  readonly clientId: string;
  readonly settings: JobSettings;
  /** What this release cannot make of the settings, which a newer one stored. */
  readonly settingsFault?: string;
  /** −100 to 100; higher ones are begun first. */
  readonly priority: number;
  /** Also decode a preview and the storyboard as soon as possible. */
  readonly previews: boolean;
  readonly webhook: StoredWebhook | undefined;
  readonly createdAt: Date;
  /** When it is deleted by itself; set when it has finished. */
  readonly expiresAt: Date | undefined;
  /** Number of its last event, from 1. */
  readonly revision: number;
}

/** What a job is made from. */
export interface NewJob {
  clientId: string;
  /** Tells requests under one client id apart. */
  fingerprint: string;
  settings: JobSettings;
  warnings: readonly string[];
  priority: number;
  previews: boolean;
  webhook: Webhook | undefined;
}

export type JobEventKind = 'state' | 'stage' | 'progress' | 'preview';

/** One change of a job. */
export interface JobEvent {
  /** From 1, without gaps. */
  number: number;
  at: Date;
  kind: JobEventKind;
  /** The job after it. */
  job: Job;
}

/** Whether nothing will happen to the job any more. */
export function isFinished({ state }: Pick<Job, 'state'>): boolean {
  return isFinalState(state);
}
