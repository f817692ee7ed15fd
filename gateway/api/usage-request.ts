import { invalidField } from '../../services/kit/errors.ts';
import type { UsageGroupName } from '../../services/pipeline/usage-groups.ts';
import type { UsageQuery } from '../jobs/store/read-usage.ts';

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
export function toUsageQuery({ from, to = new Date(), ...rest }: UsageRequest): UsageQuery {
  const begin = from ?? new Date(Date.UTC(to.getUTCFullYear(), to.getUTCMonth()));
  const days = (to.getTime() - begin.getTime()) / 86_400_000;
  if (days < 0 || days > maxUsageDays) {
    const mustBe = `a time from \`from\` (${begin.toISOString()}) to ${maxUsageDays} days later`;
    throw invalidField('to', to.toISOString(), mustBe);
  }
  return { ...rest, from: begin, to };
}
