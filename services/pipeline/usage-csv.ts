import { formatCsv } from '../kit/csv.ts';
import { stageNames } from './stages.ts';
import type { UsageGroup, UsageGroupName } from './usage-groups.ts';

/** Usage as comma-separated values, a line for each group. */
export function usageCsv(groupBy: UsageGroupName, groups: readonly UsageGroup<string>[]): string {
  const hasName = groupBy === 'key';
  const headings = [
    ...(hasName ? ['key', 'name'] : [groupBy]),
    ...['completed', 'failed', 'cancelled', 'frames', 'pixels', 'seconds'],
    ...stageNames.map((name) => `${name.replace('-', '_')}_seconds`),
    'reused_stages',
  ];
  const rows = groups.map((each) => [
    ...(hasName ? [each.group, harmless(each.name)] : [each.group]),
    ...[each.succeeded, each.failed, each.cancelled, each.frames, each.pixels, each.seconds],
    ...stageNames.map((name) => each.stageSeconds[name] ?? 0),
    each.reusedStages,
  ]);
  return formatCsv(headings, rows);
}

/** Spreadsheets would evaluate a name that begins like a formula. */
function harmless(name: string): string {
  return /^[=+\-@]/.test(name) ? `'${name}` : name;
}
