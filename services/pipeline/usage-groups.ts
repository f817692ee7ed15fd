import { UsageGrouping } from '../../proto/gen/fusionframes/v1/video.ts';
import type { StageName } from './stages.ts';

/** What usage can be grouped by, with the numbers in the contract. */
export const wireUsageGroups = {
  key: UsageGrouping.USAGE_GROUPING_KEY,
  preset: UsageGrouping.USAGE_GROUPING_PRESET,
  day: UsageGrouping.USAGE_GROUPING_DAY,
} as const satisfies Record<string, UsageGrouping>;

export type UsageGroupName = keyof typeof wireUsageGroups;

export const usageGroups = ['key', 'preset', 'day'] as const satisfies UsageGroupName[];

/** Resources that videos have used, by stages with these names. */
export interface Usage<Stage extends string = StageName> {
  /** Time in the stages, in attempts that failed too, without waits for a replica. */
  seconds: number;
  stageSeconds: Readonly<Partial<Record<Stage, number>>>;
  /** Finished stages that later attempts did not repeat. */
  reusedStages: number;
  /** Pixels of all frames of finished videos. */
  pixels: number;
}

/** The usage of one key, preset or day. */
export interface UsageGroup<Stage extends string = StageName> extends Usage<Stage> {
  /** Id of the key (empty: without a key), name of the preset (empty: not recorded), or day (UTC, `2026-11-29`). */
  group: string;
  /** The key's name when the last of its jobs ended; empty in other groupings. */
  name: string;
  /** Jobs by how they ended. */
  succeeded: number;
  failed: number;
  cancelled: number;
  /** Frames of finished videos. */
  frames: number;
}
