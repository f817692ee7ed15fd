import type { Told } from '../../services/kit/values.ts';
import type { StageName } from '../../services/pipeline/stages.ts';
import type { JobSettings } from '../../services/pipeline/video-options.ts';

export const videoStates = ['queued', 'running', 'succeeded', 'failed', 'cancelled'] as const;
/** `unknown`: a state that only a newer gateway has. */
export type VideoState = (typeof videoStates)[number] | 'unknown';

/** Files of a video that have a name of their own. */
export const namedFiles = ['video', 'storyboard', 'thumbnail', 'spritesheet', 'preview'] as const;
export type NamedFile = (typeof namedFiles)[number];

/** Values of which only a newer gateway knows, or which a protocol does not carry, are `null`; 64-bit numbers are text. */
export type Settings<V = JobSettings> = { [K in keyof V]: V[K] extends object ? Settings<V[K]> : Told<V[K]> | null };

export interface StageProgress {
  /** `unknown`: a stage that only a newer gateway has. */
  stage: StageName | 'unknown';
  /** Steps (frames, for the decoder) done, of `total`. */
  step: number;
  total: number;
  /** Time spent in the stage so far. */
  seconds: number;
  /** No replica of the stage is available: the job waits for one. */
  waiting: boolean;
}

export interface FileInfo {
  file: NamedFile | 'unknown';
  mediaType: string;
  bytes: number;
  /** Hexadecimal. */
  sha256: string;
}

export interface VideoFailure {
  /** Name of a gRPC status code, such as `UNAVAILABLE`. */
  code: string;
  /** The stage that failed; `null`: none had begun. */
  stage: StageName | 'unknown' | null;
  reason: string;
  /** The attempt that failed, from 1. */
  attempt: number;
}

/** A video: the job that makes it and what came of it. */
export interface Video {
  id: string;
  state: VideoState;
  /** In force, with every default filled in. */
  settings: Settings;
  /** Of the request that created it; `null` over HTTP. */
  idempotencyKey: string | null;
  /** How many frames it has, or will have. */
  frames: number;
  /** Jobs of a higher priority start first. */
  priority: number;
  /** How often the job was begun. */
  attempt: number;
  /** The stages begun so far, in order; one entry for each interpolation pass. */
  stages: StageProgress[];
  /** What can be downloaded now, single frames aside. */
  files: FileInfo[];
  warnings: string[];
  /** Set when the job has failed. */
  failure: VideoFailure | null;
  createdAt: Date | null;
  startedAt: Date | null;
  finishedAt: Date | null;
  /** When the job is deleted by itself; set when it has finished. */
  expiresAt: Date | null;
}

/** Whether nothing about the video changes any more. */
export function isFinished({ state }: Video): boolean {
  return state === 'succeeded' || state === 'failed' || state === 'cancelled';
}
