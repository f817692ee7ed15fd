import type { FrameRateName } from '../../services/kit/preset.ts';
import type { ResolvedSampling } from '../../services/kit/sampling.ts';

/** Everything a video depends on, with nothing left open: the same settings give the same video. */
export interface JobSettings {
  prompt: string;
  /** Empty: guidance contrasts with the null embedding. */
  negativePrompt: string;
  /** 0 to 2⁶⁴ − 1. */
  seed: bigint;
  frameRate: FrameRateName;
  /** Pixels, multiples of 8. */
  width: number;
  height: number;
  keyframes: ResolvedSampling;
  interpolation: ResolvedSampling;
  format: 'mp4' | 'webp';
  /** Also keep every frame as PNG. */
  keepFrames: boolean;
}

export type JobState = 'queued' | 'running' | 'succeeded' | 'failed' | 'cancelled';

export type StageName = 'text-encoder' | 'keyframes' | 'interpolation' | 'decoder';

/** A stage that a job has begun. */
export interface StageProgress {
  stage: StageName;
  /** Steps (or frames) done, of `total`. */
  step: number;
  total: number;
  /** Time spent in the stage so far. */
  seconds: number;
}

export interface JobFailure {
  /** Name of a gRPC status code. */
  code: string;
  /** The stage that was under way; absent when none had begun. */
  stage: StageName | undefined;
  reason: string;
}

/** What is known of a job. Never changed in place: a change makes a new one. */
export interface Job {
  readonly id: string;
  /** Grows from job to job: the order in which they were accepted. */
  readonly sequence: number;
  /** Chosen by the client to make its request repeatable; empty when it chose none. */
  readonly clientId: string;
  /** Tells requests under one client id apart. */
  readonly fingerprint: string;
  readonly state: JobState;
  readonly settings: JobSettings;
  /** The stages begun so far, in order; one entry for each interpolation pass. */
  readonly stages: readonly StageProgress[];
  readonly warnings: readonly string[];
  readonly failure: JobFailure | undefined;
  readonly createdAt: Date;
  readonly finishedAt: Date | undefined;
  /** Facts of the finished video; 0 before. */
  readonly frames: number;
  readonly fileBytes: number;
}

/** What a job is made from. */
export type NewJob = Pick<Job, 'clientId' | 'fingerprint' | 'settings' | 'warnings'>;

/** What changes while a job runs. */
export type JobProgress = Pick<Job, 'stages' | 'warnings'>;

/** How a job ends. */
export type JobOutcome =
  | { state: 'succeeded'; frames: number; fileBytes: number }
  | { state: 'failed'; failure: JobFailure }
  | { state: 'cancelled' };

/** Whether nothing will happen to the job any more. */
export function isFinished({ state }: Job): boolean {
  return state === 'succeeded' || state === 'failed' || state === 'cancelled';
}
