import { UsageGrouping } from '../../proto/gen/fusionframes/v1/video.ts';

/** What usage can be summed by, with the numbers in the contract. */
export const wireUsageGroups = {
  key: UsageGrouping.USAGE_GROUPING_KEY,
  preset: UsageGrouping.USAGE_GROUPING_PRESET,
  day: UsageGrouping.USAGE_GROUPING_DAY,
} as const satisfies Record<string, UsageGrouping>;

export type UsageGroupName = keyof typeof wireUsageGroups;

export const usageGroups = ['key', 'preset', 'day'] as const satisfies UsageGroupName[];
