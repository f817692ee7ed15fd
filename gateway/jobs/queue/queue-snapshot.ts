import type { JobModel } from '../../models/model-route.ts';
import type { StageProgress } from '../job.ts';
import type { WorkSettings } from '../video-work.ts';
import type { FairJob, FairKey } from './fair-queue.ts';
import type { FinishedJob, StartedJob } from './stage-times.ts';

/** What a key may still use. Once nothing is left, none of its jobs starts until the budget is reset. */
export interface BudgetLeft {
  unit: 'videos' | 'seconds';
  left: number;
  /** Until it is reset. */
  resetSeconds: number;
}

/** A key with jobs. */
export interface KeyInQueue extends Omit<FairKey, 'running'> {
  budgets: readonly BudgetLeft[];
  /** How many of its jobs are queued. */
  queued: number;
  /** Rank of the last of them, see `rankInKey`; null if none is queued. */
  lastRank: number | null;
}

export interface QueuedJob extends Omit<FairJob, keyof JobModel>, JobModel {
  id: string;
  settings: WorkSettings;
  /** Stages that a paused job has started. */
  stages?: readonly StageProgress[];
}

export interface RunningJob extends StartedJob, Omit<FairJob, 'work' | keyof JobModel> {
  id: string;
  /** Since it was started or continued after a pause. */
  seconds: number;
  pauses: number;
  /** The queued job for which it is about to be paused. */
  pauseFor: string | null;
  /** See `FairJob`. */
  paidAt: number | null;
  deadline: Date | null;
  /** Whether it takes up one of the places below. Those of gateways that are paused, or gone, do not. */
  hasPlace: boolean;
}

/** The queue at one moment. */
export interface QueueSnapshot {
  at: Date;
  /** Jobs of each model and version that active gateways run at once; 0: operators have paused all of them. */
  places: number;
  /** Sequence number of the next job. */
  nextSequence: number;
  keys: readonly KeyInQueue[];
  /** The first queued jobs of each key, in order. */
  heads: readonly QueuedJob[];
  running: readonly RunningJob[];
  /** The latest videos, latest first. */
  finished: readonly FinishedJob[];
}

/** Whether a budget of the key is used. */
export function isUsedUp({ budgets }: Pick<KeyInQueue, 'budgets'>): boolean {
  return budgets.some(({ left }) => left <= 0);
}
