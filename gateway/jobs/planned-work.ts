import type { Sql } from 'postgres';
import { ask } from '../database/ask.ts';
import type { Caller } from '../keys/caller.ts';
import type { Models } from '../models/models.ts';
import type { Job, NewJob } from './job.ts';
import { resultNames } from './result-names.ts';
import { readKeptResults } from './store/kept-results.ts';
import { videoWork, workSettings } from './video-work.ts';

/** The work that a new job is expected to need. */
export interface PlannedWork extends Pick<Job, 'keptStages'> {
  /** See `videoWork()`. */
  work: number;
}

export type PlannedJob = NewJob & PlannedWork;

export interface PlanningTools {
  sql: Sql;
  models: Models;
  /** 0: none are. */
  keepResultsSeconds: number;
}

/** Finds out which stages of a new job will run. */
export async function planWork(job: NewJob, { keyId }: Caller, tools: PlanningTools): Promise<PlannedWork> {
  const { sql, models, keepResultsSeconds } = tools;
  const { continues, settings } = job;
  const isKept = continues !== '' && keepResultsSeconds > 0;
  const kept = isKept ? await ask(sql, () => readKeptResults(sql, keyId, continues)) : [];
  const names = resultNames(settings.frameRate);
  const missing = names.findIndex((name) => !kept.includes(name));
  const keptStages = missing < 0 ? names.length : missing;
  return { keptStages, work: videoWork(workSettings({ settings, keptStages }), models.presetOf(job)) };
}
