import type { JobStateName } from '../../services/pipeline/job-states.ts';
import type { DefaultsOf } from '../../services/pipeline/options.ts';
import type { UsageGroupName } from '../../services/pipeline/usage-groups.ts';
import type { JobSettings, videoOptions } from '../../services/pipeline/video-options.ts';
import type { Model, NamedFile, UsageGroup, Video } from './video.ts';

/** A request for a video. Missing options take the preset's defaults. */
export type NewVideo = Pick<JobSettings, 'prompt'> &
  DefaultsOf<typeof videoOptions> & {
    /** A model of {@link VideoClient.models}. Default: the first; without a version, the gateway chooses one. */
    model?: string;
    /**
     * LoRAs of a version in {@link VideoClient.models}, which then makes the video; without a scale, at the one with which
     * each was merged. INVALID_ARGUMENT: no version has exactly these. Default: none.
     */
    lora?: readonly { name: string; scale?: number }[];
    /**
     * The picture that the video begins with, for models that continue one: a PNG, JPEG, WebP or AVIF file of at most 12 MiB,
     * or a frame of an earlier video (without a number: the picture that it began with itself).
     */
    inputReference?: Uint8Array | { videoId: string; frame?: number };
    /**
     * Keyframes to interpolate between, instead of those that the model makes: one clip (MP4, MOV, WebM or animated WebP), or 2
     * or more pictures (PNG, JPEG, WebP or AVIF); at most as many as the model has keyframes, and 12 MiB together. Or
     * those that an earlier video was given.
     */
    givenKeyframes?: readonly Uint8Array[] | { videoId: string };
    /**
     * -100 to 100; of the jobs of one API key, those with a higher priority start first. Default: 0, or the maximum of the
     * key if that is lower.
     */
    priority?: number;
    /** Also decode a preview and the storyboard as early as possible. Default false. */
    previews?: boolean;
    /**
     * The video fails if it has not succeeded by then; over HTTP rounded down to seconds. Refused if past
     * (INVALID_ARGUMENT) or if it cannot be met (FAILED_PRECONDITION, `DEADLINE_HOPELESS`).
     */
    deadline?: Date;
    /** Called, signed with the secret, for these events. Default: completed and failed. */
    webhook?: { url: string; secret: string; events?: readonly ('queued' | 'running' | 'completed' | 'failed')[] };
    /**
     * Your own labels, which lists can be filtered by: at most 16, names of at most 64, values of at most 512
     * characters.
     */
    metadata?: Readonly<Record<string, string>>;
    /**
     * Repeating a request with the same key returns the same video; a different request with it fails with
     * ALREADY_EXISTS. At most 128 characters. Default: a random key, so that a lost response does not create a second
     * video.
     */
    idempotencyKey?: string;
  };

/** A video with another prompt and the settings, seed, picture, model and previews of an earlier one. */
export type Remix = Pick<NewVideo, 'prompt' | 'metadata' | 'webhook' | 'idempotencyKey'>;

/** How to go on from a video's keyframes. */
export type FinishVideo = Partial<Pick<JobSettings, 'frameRate' | 'format'>> &
  Pick<NewVideo, 'metadata' | 'webhook' | 'idempotencyKey'>;

export interface CallOptions {
  /** Ends the call with an `AbortError`. The job goes on: {@link VideoClient.cancel} stops it. */
  signal?: AbortSignal;
}

export interface BatchOptions extends CallOptions {
  /** As {@link NewVideo.idempotencyKey}, for all of them. */
  idempotencyKey?: string;
}

export const maxPageSize = 100;
export const usagePageSize = 1000;

export interface ListOptions extends CallOptions {
  /** Videos fetched at a time, 1 to 100. Default 100. */
  pageSize?: number;
  /** Only videos in this state. */
  state?: JobStateName;
  /** Only videos of this model, or of this version of it. */
  model?: string;
  /** Only videos with these labels. */
  metadata?: Readonly<Record<string, string>>;
  /** Only videos created at or after this time. */
  createdAfter?: Date;
  /** Only videos created before this time. */
  createdBefore?: Date;
}

export interface UsageOptions extends CallOptions {
  /** Default: `key`. Days begin at midnight UTC. */
  groupBy?: UsageGroupName;
  /** Jobs that ended at or after this time. Default: the beginning of the month (UTC). */
  from?: Date;
  /** Jobs that ended before this time, at most 366 days later. Default: now. */
  to?: Date;
}

export interface WatchOptions extends CallOptions {
  /** Called whenever the gateway cannot be reached; it is retried for a minute. */
  onAbsence?(): void;
}

export interface DownloadOptions extends CallOptions {
  /** Default: the video. Single frames exist if the request set `keepFrames`, and are available over gRPC only. */
  file?: NamedFile | { frame: number };
  /** First byte. Default 0. */
  offset?: number;
}

/** A file being downloaded; its bytes can be read once. */
export interface Download extends AsyncIterable<Uint8Array> {
  mediaType: string;
  /** Size of the whole file, even for a part of it. */
  bytes: number;
  /** SHA-256 of the whole file, hexadecimal. */
  sha256: string;
}

/**
 * A gateway's videos over gRPC or HTTP. Every error is a `FusionError` with a gRPC status code, a stable `reason` and,
 * for a bad request, the `field`; an aborted signal is an `AbortError`. Calls are retried for about 3 seconds while the
 * gateway is UNAVAILABLE.
 */
export interface VideoClient {
  /** Queues a video. Once this resolves, it survives restarts. */
  create(video: NewVideo, options?: CallOptions): Promise<Video>;
  /**
   * Queues 1 to 100 videos, all or none; returns them in the same order. Errors name the place of the video at fault:
   * `videos.3.width`.
   */
  createAll(videos: readonly Omit<NewVideo, 'idempotencyKey'>[], options?: BatchOptions): Promise<Video[]>;
  /** Queues a video with the settings of an earlier one and another prompt. */
  remix(id: string, remix: Remix, options?: CallOptions): Promise<Video>;
  /**
   * Queues a video that goes on from the keyframes of a finished one, by default with the preset's frame rate and that
   * video's format. Its bytes are those of a video made with this frame rate from the start. FAILED_PRECONDITION: the video
   * has not succeeded.
   */
  finish(id: string, video?: FinishVideo, options?: CallOptions): Promise<Video>;
  /** The models and their versions. The first is the default. */
  models(options?: CallOptions): Promise<Model[]>;
  get(id: string, options?: CallOptions): Promise<Video>;
  /** The caller's videos, newest first; pages are fetched as they are read. */
  list(options?: ListOptions): AsyncIterable<Video>;
  /** Stops a video that is queued or running. */
  cancel(id: string, options?: CallOptions): Promise<Video>;
  /** Removes a video and its files. */
  delete(id: string, options?: CallOptions): Promise<void>;
  /**
   * The video as it is now and after every change, to its end: each change once and in order, also across a restart of
   * the gateway. UNAVAILABLE: the gateway was away for more than a minute.
   */
  watch(id: string, options?: WatchOptions): AsyncIterable<Video>;
  /** Throws FAILED_PRECONDITION for a file that the video does not have (yet). */
  download(id: string, options?: DownloadOptions): Promise<Download>;
  /**
   * Usage of ended jobs, including deleted ones: those of the key, or of all keys for an administrator. In the order of
   * `group`; pages are fetched as they are read.
   */
  usage(options?: UsageOptions): AsyncIterable<UsageGroup>;
  close(): void;
}
