import type { StageName } from '../../services/pipeline/stages.ts';

/** Seconds per stage. */
export type StageSeconds = Readonly<Partial<Record<StageName, number>>>;

interface TimedStage {
  stage: StageName;
  seconds: number;
}

interface TimedJob {
  lostSeconds: StageSeconds;
  stages: readonly TimedStage[];
}

/** Adds the seconds of stages to totals per stage. */
export function addSeconds(totals: StageSeconds, stages: readonly TimedStage[]): StageSeconds {
  const sums: Partial<Record<StageName, number>> = { ...totals };
  for (const { stage, seconds } of stages) {
    sums[stage] = (sums[stage] ?? 0) + seconds;
  }
  return sums;
}

/** Seconds per stage that a job has used so far, including lost attempts. */
export function stageSeconds({ lostSeconds, stages }: TimedJob): StageSeconds {
  return addSeconds(lostSeconds, stages);
}

export function totalSeconds(seconds: StageSeconds): number {
  return toMicroseconds(Object.values(seconds).reduce((sum, each) => sum + each, 0));
}

/** Rounds, so that a sum does not depend on the order of its parts. */
export function toMicroseconds(seconds: number): number {
  return Math.round(seconds * 1e6) / 1e6;
}

/** Seconds as callers see them: rounded to milliseconds. */
export function toMilliseconds(seconds: number): number {
  return Math.round(seconds * 1e3) / 1e3;
}
