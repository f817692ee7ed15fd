import type { JsonOf } from '../../services/kit/values.ts';
import type { NamedFile } from '../../services/pipeline/job-files.ts';
import { isFinalState, type JobStateName } from '../../services/pipeline/job-states.ts';
import type { StageName } from '../../services/pipeline/stages.ts';
import type { UsageGroup as UsageGroupOf, Usage as UsageOf } from '../../services/pipeline/usage-groups.ts';
import type { OptionValues } from '../../services/pipeline/video-options.ts';

/** `unknown`: a state that only a newer gateway has. */
export type VideoState = JobStateName | 'unknown';

export type { NamedFile };

/** `null`: a value that only a newer gateway knows, or that the protocol does not carry. 64-bit numbers are strings. */
export type Settings<V = OptionValues> = { [K in keyof V]: V[K] extends object ? Settings<V[K]> : JsonOf<V[K]> | null };

export interface StageProgress {
  /** `unknown`: a stage that only a newer gateway has. */
  stage: StageName | 'unknown';
  /** Steps (frames, for the decoder) done, of `total`. */
  step: number;
  total: number;
  /** Time spent in the stage so far, without waits for a replica. */
  seconds: number;
  /** No replica of the stage is available: the job waits for one. */
  waiting: boolean;
  /** The result was that of another video of the same key: the stage did not run. */
  reused: boolean;
}

/** Where a video is in the queue. The times are estimates, `null` until the mesh has made a video. */
export interface QueuePlace {
  /** 1: it starts next; 0: it runs. */
  position: number;
  /** When it will start, or has started. */
  startsAt: Date | null;
  /** When it will have ended. */
  readyAt: Date | null;
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
  /** The stage that failed; `null`: none had started. */
  stage: StageName | 'unknown' | null;
  /** What went wrong, for people. */
  message: string;
  /** Stable name of the kind of fault, such as `PREDICTION_NOT_FINITE`; else as `code`. */
  reason: string;
  /** The attempt that failed, from 1. */
  attempt: number;
}

/** `unknown`: the time in stages that only a newer gateway has. */
export type Usage = UsageOf<StageName | 'unknown'>;

export type UsageGroup = UsageGroupOf<StageName | 'unknown'>;

/** A video: the job that makes it, and its result. */
export interface Video {
  id: string;
  /** The model that makes it, with its version if there are several; `null` from gateways of earlier releases. */
  model: string | null;
  state: VideoState;
  /** With all defaults filled in. */
  settings: Settings;
  /** Of the request that created it; `null` over HTTP. */
  idempotencyKey: string | null;
  /** How many frames it has, or will have. */
  frames: number;
  /** How many keyframes its creator gave; `null`: none, the network made them. */
  givenKeyframes: number | null;
  /** What is merged into the weights of the version that makes it. */
  lora: readonly { name: string; scale: number }[];
  /** Of the jobs of one API key, those with a higher priority start first. */
  priority: number;
  /** How often the job was started. */
  attempt: number;
  /** How often it was paused to make room for another one. A queued job that was paused continues where it stopped. */
  pauses: number;
  /** The stages started so far, in order; one entry for each interpolation pass. */
  stages: StageProgress[];
  /** What can be downloaded now, single frames aside. */
  files: FileInfo[];
  warnings: string[];
  /** The creator's own labels. */
  metadata: Readonly<Record<string, string>>;
  /** Id of the video whose settings it repeats with another prompt or frame rate; `null` if none. */
  remixedFrom: string | null;
  /** Its usage so far; `null` from gateways of the previous release. */
  usage: Usage | null;
  /** Set when the job has failed. */
  failure: VideoFailure | null;
  /** Set while it is queued or running. */
  queue: QueuePlace | null;
  /** The job fails if it has not succeeded by then. */
  deadline: Date | null;
  createdAt: Date | null;
  startedAt: Date | null;
  finishedAt: Date | null;
  /** When the job will be deleted automatically; set once it has finished. */
  expiresAt: Date | null;
}

/** A model of a gateway, or one version of it. */
export interface Model {
  /** Its name in requests: `nano` or, for one version, `nano@2`. */
  id: string;
  description: string;
  /** The day on which it was published. */
  createdAt: Date | null;
  /** `not-ready`: a stage does not respond, and videos wait for it. `draining`: it takes no new videos. */
  status: 'ready' | 'not-ready' | 'draining';
  /** For a version: its share of the new videos that name only the model, 0 to 1. */
  share: number;
  /** For a version: what was merged into its weights. */
  lora: readonly { name: string; scale: number }[];
}

/** Whether the video has reached its final state. */
export function isFinished({ state }: Video): boolean {
  return isFinalState(state);
}
