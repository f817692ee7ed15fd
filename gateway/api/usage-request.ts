import { invalidField } from '../../services/kit/errors.ts';
import type { UsageGroupName } from '../../services/pipeline/usage-groups.ts';
import type { UsageQuery } from '../jobs/store/read-usage.ts';
import { checkTime } from './job-options.ts';

export const maxUsageGroups = 1000;
export const defaultUsageGroups = 100;

/** Longest time that can be summed at once, days. */
export const maxUsageDays = 366;

interface UsageRequest {
  groupBy: UsageGroupName;
  /** Default: the beginning of the month (UTC). */
  from: Date | undefined;
  /** Default: now. */
  to: Date | undefined;
  after: string | undefined;
  limit: number;
}

/** Fills in the defaults. Throws INVALID_ARGUMENT for an empty or too long time. */
export function toUsageQuery({ from, to, ...rest }: UsageRequest): UsageQuery {
  return { ...rest, ...readRange({ from, to }, (end) => new Date(Date.UTC(end.getUTCFullYear(), end.getUTCMonth()))) };
}

/**
 * A time that ends at `to`, by default now, and begins at `from`, by default as `beginOf` tells. Throws INVALID_ARGUMENT for
 * an empty or too long one.
 */
export function readRange(
  given: { from?: Date | undefined; to?: Date | undefined },
  beginOf: (end: Date) => Date,
): { from: Date; to: Date } {
  const { from, to = new Date() } = given;
  const isToGiven = given.to !== undefined;
  checkTime('from', from);
  checkTime('to', to);
  const begin = from ?? beginOf(to);
  const days = (to.getTime() - begin.getTime()) / 86_400_000;
  const now = new Date();
  // Clients fill in `to`.
  if (days < 0 && from && from > now) {
    throw invalidField('from', from, `a time in the past (it is ${now.toISOString()})`);
  }
  if (days > maxUsageDays && !isToGiven) {
    const earliest = new Date(to.getTime() - 86_400_000 * maxUsageDays).toISOString();
    throw invalidField('from', begin, `at most ${maxUsageDays} days before \`to\`, so after ${earliest}`);
  }
  if (days < 0 || days > maxUsageDays) {
    const mustBe = `a time from \`from\` (${begin.toISOString()}) to ${maxUsageDays} days later`;
    throw invalidField('to', to, mustBe);
  }
  return { from: begin, to };
}
