import type { Sql } from 'postgres';
import { withJob } from '../../../services/kit/telemetry/job-context.ts';
import { add, record } from '../../../services/kit/telemetry/metrics.ts';
import { describeSpan, failSpan, inSpan, outcomeOf } from '../../../services/kit/telemetry/spans.ts';
import { activeTraceparent, contextOf, linksTo } from '../../../services/kit/telemetry/trace-context.ts';
import type { StageName } from '../../../services/pipeline/stages.ts';
import type { JobOutcome } from '../store/job-ledger.ts';
import type { ClaimedJob } from '../store/leases.ts';

/**
 * Runs an attempt within a span of the trace that created the job. Later attempts, on any replica, continue that trace
 * and link to the previous attempt.
 */
export function inJobSpan<T>(claimed: ClaimedJob, owner: string, sql: Sql, work: () => Promise<T>): Promise<T> {
  const { id, attempt, createdAt, startedAt } = claimed.row;
  const [creation = '', before = ''] = claimed.traceContext.split(' ');
  if (attempt === 1 && startedAt) {
    record('fusionframes.job.queue.wait', (startedAt.getTime() - createdAt.getTime()) / 1000, {});
  }
  const attributes = { 'fusionframes.job.id': id, 'fusionframes.job.attempt': attempt };
  const place = { parent: withJob(contextOf(creation), id), links: linksTo(before) };
  const traced = () => {
    const own = activeTraceparent();
    if (own !== '') {
      // Not awaited: only a link between spans depends on it.
      sql`update jobs set trace_context = ${`${creation || own} ${own}`}
        where id = ${id} and owner = ${owner} and attempt = ${attempt}`.catch(() => {});
    }
    return work();
  };
  return inSpan('fusionframes.job', attributes, traced, place);
}

/** Records in the job's span and metrics how the job ended. */
export function noteOutcome({ row }: ClaimedJob, outcome: JobOutcome, error: unknown): void {
  const { state } = outcome;
  const failure = outcome.state === 'failed' ? outcome.failure : undefined;
  describeSpan<'fusionframes.job'>({ 'fusionframes.job.outcome': state });
  if (failure) {
    failSpan(error);
  }
  noteEnd(row.createdAt, state, failure?.code, failure?.stage);
}

/** Records the metrics of a job's end. */
export function noteEnd(
  createdAt: Date,
  state: 'succeeded' | 'failed' | 'cancelled',
  code: string | undefined,
  stage: StageName | undefined,
): void {
  add('fusionframes.jobs.ended', 1, {
    'fusionframes.outcome': state,
    ...(code && { 'error.type': code }),
    ...(stage && { 'fusionframes.stage': stage }),
  });
  const seconds = (Date.now() - createdAt.getTime()) / 1000;
  record('fusionframes.job.duration', seconds, { 'fusionframes.outcome': state });
}

/** Records in the job's span why the attempt ended before the job did. */
export function noteGivenUp(why: 'given-back' | 'lost'): void {
  describeSpan<'fusionframes.job'>({ 'fusionframes.job.outcome': why });
}

/** Runs a stage of a job in its own span and records its duration. */
export async function inStageSpan<T>(stage: StageName, work: () => Promise<T>): Promise<T> {
  const start = performance.now();
  const attributes = { 'fusionframes.stage': stage };
  const measure = (outcome: string) =>
    record('fusionframes.stage.duration', (performance.now() - start) / 1000, {
      ...attributes,
      'fusionframes.outcome': outcome,
    });
  try {
    const result = await inSpan('fusionframes.stage', attributes, work);
    measure('succeeded');
    return result;
  } catch (error) {
    measure(outcomeOf(error));
    throw error;
  }
}
