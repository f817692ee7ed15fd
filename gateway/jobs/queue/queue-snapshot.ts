import type { JobModel } from '../../models/model-route.ts';
import type { StageProgress } from '../job.ts';
import type { WorkSettings } from '../video-work.ts';
import type { FairJob, FairKey } from './fair-queue.ts';
import type { FinishedJob, StartedJob } from './stage-times.ts';

/** A key with jobs. */
export interface KeyInQueue extends Omit<FairKey, 'running'> {
  /** How many of its jobs are queued. */
  queued: number;
  /** Rank of the last of them, see `rankInKey`; null if none is queued. */
  lastRank: number | null;
}

export interface QueuedJob extends FairJob, JobModel {
  id: string;
  settings: WorkSettings;
  /** Stages that a paused job has started. */
  stages?: readonly StageProgress[];
}

export interface RunningJob extends StartedJob, Omit<FairJob, 'work'> {
  id: string;
  /** Since it was started or continued after a pause. */
  seconds: number;
  pauses: number;
  /** Whether it is about to be paused. */
  isPausing: boolean;
}

/** The queue at one moment. */
export interface QueueSnapshot {
  at: Date;
  /** Jobs that run at once. */
  places: number;
  /** Virtual start of the latest job. */
  virtualTime: number;
  /** Sequence number of the next job. */
  nextSequence: number;
  keys: readonly KeyInQueue[];
  /** The first queued jobs of each key, in order. */
  heads: readonly QueuedJob[];
  running: readonly RunningJob[];
  /** The latest videos, latest first. */
  finished: readonly FinishedJob[];
}
