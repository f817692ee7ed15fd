import { Command, Option } from 'commander';
import type { UsageGroup } from '../gateway/client/video.ts';
import type { VideoClient } from '../gateway/client/video-client.ts';
import { formatTable } from '../services/kit/table.ts';
import { time } from '../services/kit/values.ts';
import { stageNames } from '../services/pipeline/stages.ts';
import { usageCsv } from '../services/pipeline/usage-csv.ts';
import { type UsageGroupName, usageGroups } from '../services/pipeline/usage-groups.ts';
import { gatewayOption } from './gateway-address.ts';
import { withGateway } from './gateway-client.ts';
import { formatText } from './table-cells.ts';
import { choiceFlag, parseFlag } from './video-options.ts';

interface UsageOptions {
  by: UsageGroupName;
  from?: string;
  to?: string;
  address: string;
  json?: boolean;
  csv?: boolean;
}

const maxNameWidth = 32;

export function usageCommand(): Command {
  return new Command('usage')
    .description(
      'Sum the usage of ended jobs, including deleted ones: those of FUSIONFRAMES_API_KEY, or of all keys for an admin key.',
    )
    .addOption(choiceFlag('--by <what>', 'what to group by; days begin at midnight UTC', usageGroups).default('key'))
    .option(
      '--from <time>',
      'jobs that ended at or after this time: 2026-11-29 or 2026-11-29T08:30:00Z (default: start of the month)',
    )
    .option('--to <time>', 'jobs that ended before this time, at most 366 days later (default: now)')
    .addOption(gatewayOption())
    .addOption(new Option('--csv', 'print comma-separated values').conflicts('json'))
    .option('--json', 'print JSON')
    .action(usage);
}

async function usage({ by, from, to, address, json, csv }: UsageOptions): Promise<void> {
  const range = {
    ...(from !== undefined && { from: parseFlag('--from', time(), from) }),
    ...(to !== undefined && { to: parseFlag('--to', time(), to) }),
  };
  const show = async (client: VideoClient, signal: AbortSignal) => {
    const groups: UsageGroup[] = [];
    for await (const group of client.usage({ groupBy: by, ...range, signal })) {
      groups.push(group);
    }
    process.stdout.write(json ? `${JSON.stringify(groups)}\n` : csv ? usageCsv(by, groups) : tableOf(by, groups));
  };
  await withGateway({ address }, show, { from: '--from', to: '--to' });
}

function tableOf(by: UsageGroupName, groups: readonly UsageGroup[]): string {
  const headings = [by, ...(by === 'key' ? ['name'] : []), 'videos', 'failed', 'cancelled', 'frames', 'seconds'];
  return formatTable(
    [...headings, ...stageNames, 'reused stages'],
    groups.map((each) => [
      each.group || '-',
      ...(by === 'key' ? [formatText(each.name, maxNameWidth) || '-'] : []),
      ...[each.succeeded, each.failed, each.cancelled, each.frames].map(String),
      ...[each.seconds, ...stageNames.map((name) => each.stageSeconds[name] ?? 0)].map((count) => count.toFixed(1)),
      String(each.reusedStages),
    ]),
  );
}
