import type { FastifyRequest } from 'fastify';
import { z } from 'zod';
import { choice, text, time, wholeNumber } from '../../../services/kit/values.ts';
import { usageCsv } from '../../../services/pipeline/usage-csv.ts';
import type { UsageGroup } from '../../../services/pipeline/usage-groups.ts';
import { usageGroups } from '../../../services/pipeline/usage-groups.ts';
import type { UsageQuery } from '../../jobs/store/read-usage.ts';
import type { VideoJobs } from '../../jobs/video-jobs.ts';
import { checkText } from '../job-options.ts';
import { defaultUsageGroups, maxUsageDays, maxUsageGroups, toUsageQuery } from '../usage-request.ts';
import { type Route, route } from './route.ts';
import { toStageSecondsObject } from './stage-seconds-object.ts';
import { type UsageList, usageList } from './usage-object.ts';

const usageQuery = z.strictObject({
  group_by: choice(usageGroups).given.default('key').describe('What to group by. Days begin at midnight UTC.'),
  from: time()
    .given.optional()
    .describe(
      'Videos that ended at or after this time: a day, an ISO 8601 time or seconds since 1970. Default: the start of the month.',
    ),
  to: time()
    .given.optional()
    .describe(`Videos that ended before this time, at most ${maxUsageDays} days later. Default: now.`),
  after: text().given.optional().describe('The last `group` of the previous page.'),
  limit: wholeNumber(1, maxUsageGroups).given.default(defaultUsageGroups).describe('Number of groups.'),
  format: choice(['json', 'csv']).given.optional().describe('Default: what `Accept` prefers, else json.'),
});

export function usageRoute(jobs: VideoJobs): Route {
  return route(
    {
      method: 'GET',
      path: '/v1/usage',
      name: 'listUsage',
      summary: "Sum the usage of the caller's key; with the scope admin, of all keys.",
      scope: 'read',
      query: usageQuery,
      answers: {
        200: {
          description: 'One page, in the order of `group`. The `Link` header points to the next one.',
          schema: usageList,
          mediaTypes: ['text/csv'],
        },
      },
    },
    async ({ query: { group_by: groupBy, from, to, after, limit, format }, caller, request, reply }) => {
      const asked = toUsageQuery({ groupBy, from, to, after: after && checkText('after', after), limit });
      // One more than requested shows whether there is another page.
      const found = await jobs.usage({ ...asked, limit: limit + 1 }, caller);
      const page = found.slice(0, limit);
      const list = toUsageList(asked, page, found.length > limit);
      if (list.has_more) {
        reply.header('link', linkTo(request, asked, list.last_id!));
      }
      reply.header('vary', 'accept');
      const isCsv = format === undefined ? prefersCsv(request.headers.accept) : format === 'csv';
      return isCsv ? reply.type('text/csv; charset=utf-8').send(usageCsv(groupBy, page)) : list;
    },
  );
}

function toUsageList({ groupBy, from, to }: UsageQuery, groups: UsageGroup[], hasMore: boolean): UsageList {
  return {
    object: 'list',
    group_by: groupBy,
    from: Math.floor(from.getTime() / 1000),
    to: Math.floor(to.getTime() / 1000),
    data: groups.map(({ name, succeeded, stageSeconds, reusedStages, ...rest }) => ({
      object: 'usage',
      ...rest,
      name: groupBy === 'key' ? name : null,
      completed: succeeded,
      stage_seconds: toStageSecondsObject(stageSeconds),
      reused_stages: reusedStages,
    })),
    first_id: groups.at(0)?.group ?? null,
    last_id: groups.at(-1)?.group ?? null,
    has_more: hasMore,
  };
}

function linkTo(request: FastifyRequest, { from, to }: UsageQuery, after: string): string {
  const query = new URLSearchParams(request.query as Record<string, string>);
  // Fixed, so that the pages belong together.
  query.set('from', from.toISOString());
  query.set('to', to.toISOString());
  query.set('after', after);
  return `<?${query}>; rel="next"`;
}

function prefersCsv(accept = ''): boolean {
  return accept.includes('text/csv') && !accept.includes('application/json');
}
