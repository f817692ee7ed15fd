import type { Status } from 'nice-grpc-common';
import type { ErrorReason } from '../../services/kit/error-reasons.ts';
import type { FusionError } from '../../services/kit/errors.ts';
import type { NamedFile } from '../../services/pipeline/job-files.ts';
import { isFinalState, type JobStateName } from '../../services/pipeline/job-states.ts';
import type { StageName } from '../../services/pipeline/stages.ts';
import type { JobSettings } from '../../services/pipeline/video-options.ts';
import type { StoredObject } from '../storage/object-store.ts';
import type { QueuePlace } from './queue/queue-place.ts';
import type { StageSeconds } from './stage-seconds.ts';

export type JobState = JobStateName;

/** A stage that a job has started. */
export interface StageProgress {
  stage: StageName;
  /** Steps (or frames) done, of `total`. */
  step: number;
  total: number;
  /** Time spent in the stage so far, without waits for a replica. */
  seconds: number;
  /** Whether the job is waiting because no replica of the stage is available. */
  waiting?: true;
  /** Whether the result was that of another video: the stage did not run. */
  reused?: true;
}

export interface JobFailure {
  code: keyof typeof Status;
  /** The stage that was running; absent if none had started. */
  stage?: StageName | undefined;
  /** What went wrong, for people. */
  message: string;
  /** Kind of fault, such as PREDICTION_NOT_FINITE; else as `code`. */
  reason: ErrorReason;
  /** The attempt that failed, from 1. */
  attempt: number;
}

/** Where the picture of a new job comes from: a file, or a frame of an earlier video (none: that video's own picture). */
export type PictureSource =
  /** Keyframes: one clip, or several pictures. */
  | { kind: 'keyframes'; files: readonly Uint8Array[]; sha256: string }
  | { kind: 'file'; bytes: Uint8Array; sha256: string }
  | { kind: 'frame'; video: string; frame: number | undefined };

/** The picture that a job's video begins with: a PNG in the object store, of the video's size. Jobs may share one. */
export interface JobPicture extends StoredObject {
  id: string;
}

export type JobFileName = NamedFile | { frame: number };

/** A file of a job in the object store. */
export interface JobFile extends StoredObject {
  /** Its name in the object store. */
  key: string;
  mediaType: string;
}

/** What a webhook can be called for. */
export const webhookEvents = ['queued', 'running', 'completed', 'failed'] as const;
export type WebhookEvent = (typeof webhookEvents)[number];

/** A webhook's URL, signing secret, and the events to call it for. */
export interface Webhook {
  url: string;
  secret: string;
  /** Absent: when the job ends. */
  events?: readonly WebhookEvent[];
}

/** A stored webhook. The secret is encrypted, except in rows from earlier releases. */
export type StoredWebhook = Webhook | (Omit<Webhook, 'secret'> & { sealed: string });

/** The mutable part of a job. Every change is an event with a full snapshot. */
export interface JobStatus {
  readonly state: JobState;
  /** How often the job was started; 0 while it waits for the first time. */
  readonly attempt: number;
  /** The stages started so far, in order; one entry per interpolation pass. */
  readonly stages: readonly StageProgress[];
  readonly warnings: readonly string[];
  readonly failure: JobFailure | undefined;
  readonly files: Readonly<Partial<Record<NamedFile, JobFile>>>;
  /** Frames of the finished video; 0 until then. */
  readonly frames: number;
  /**
   * How often it was paused for another job. A queued job that was paused has been started and continues where it was.
   */
  readonly pauses: number;
  /** Stages that the current attempt did not run: finished by an earlier one, or by another video with the same result. */
  readonly reusedStages: number;
  /** Seconds per stage in attempts that ended before the stage did. */
  readonly lostSeconds: StageSeconds;
  readonly startedAt: Date | undefined;
  readonly finishedAt: Date | undefined;
}

/** A job. Immutable: every change makes a new object. */
export interface Job extends JobStatus {
  readonly id: string;
  /** Increases from job to job, in order of acceptance. */
  readonly sequence: number;
  /** Id of the API key that created the job; empty when keys are off. */
  readonly keyId: string;
  /** Idempotency key chosen by the client; empty if none. */
  readonly clientId: string;
  /** See `JobModel`. */
  readonly model: string;
  readonly version: string;
  readonly settings: JobSettings;
  /** Why this release cannot read the settings (a newer release stored them). */
  readonly settingsFault?: string;
  /** Absent: the video is made from text only. */
  readonly picture: JobPicture | undefined;
  /** −100 to 100; higher priorities start first. */
  readonly priority: number;
  /** Whether to decode a preview and the storyboard as early as possible. */
  readonly previews: boolean;
  readonly webhook: StoredWebhook | undefined;
  /** The job fails if it has not succeeded by then. */
  readonly deadline: Date | undefined;
  /** Where it is in the queue; set for callers while it is queued or running, if that is known. */
  readonly queue?: QueuePlace | undefined;
  /** The creator's own labels. */
  readonly metadata: Readonly<Record<string, string>>;
  /** Id of the job whose settings it repeats with another prompt or frame rate; empty if none. */
  readonly remixOf: string;
  /**
   * Stages after the text encoder that it probably does not run, because other videos had their results when it was accepted.
   */
  readonly keptStages: number;
  readonly createdAt: Date;
  /** When the job is deleted automatically; set when it ends. */
  readonly expiresAt: Date | undefined;
  /** Number of the last event, from 1. */
  readonly revision: number;
}

/** A request for a new job. */
export interface NewJob {
  clientId: string;
  /** What a request of another kind (a batch, or one video) with the same idempotency key would have; empty: nothing. */
  otherClientId: string;
  /** Hash of the request: a client id may be reused only with the same one. */
  fingerprint: string;
  /** See `JobModel`. */
  model: string;
  version: string;
  settings: JobSettings;
  picture: PictureSource | undefined;
  warnings: readonly string[];
  priority: number;
  /** Whether the request names the priority; if not, it is lowered to the maximum of the key. */
  isPriorityGiven: boolean;
  /** Id of the job whose stage results it uses as far as they are kept; empty if none. */
  continues: string;
  /** Of the finished video. */
  frames: number;
  previews: boolean;
  webhook: Webhook | undefined;
  deadline: Date | undefined;
  metadata: Readonly<Record<string, string>>;
  /** See `Job.remixOf`. */
  remixOf: string;
  /** Why it is refused unless it exists already. */
  refusal: FusionError | undefined;
}

export type JobEventKind = 'state' | 'stage' | 'progress' | 'preview';

/** One change of a job. */
export interface JobEvent {
  /** From 1, without gaps. */
  number: number;
  at: Date;
  kind: JobEventKind;
  /** The job after the event. */
  job: Job;
}

/** Whether the job has reached a final state. */
export function isFinished({ state }: Pick<Job, 'state'>): boolean {
  return isFinalState(state);
}
