import type { StageName } from '../../services/pipeline/stages.ts';
import type { Job, StageProgress } from './job.ts';

/** Seconds per stage. */
export type StageSeconds = Readonly<Partial<Record<StageName, number>>>;

/** Adds the seconds of stages to totals per stage. */
export function addSeconds(totals: StageSeconds, stages: readonly StageProgress[]): StageSeconds {
  const sums: Partial<Record<StageName, number>> = { ...totals };
  for (const { stage, seconds } of stages) {
    sums[stage] = (sums[stage] ?? 0) + seconds;
  }
  return sums;
}

/** Seconds per stage that a job has cost so far, lost attempts included. */
export function stageSeconds({ lostSeconds, stages }: Pick<Job, 'lostSeconds' | 'stages'>): StageSeconds {
  return addSeconds(lostSeconds, stages);
}

export function totalSeconds(seconds: StageSeconds): number {
  return Object.values(seconds).reduce((sum, each) => sum + each, 0);
}
