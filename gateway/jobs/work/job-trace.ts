import type { Sql } from 'postgres';
import { BoundedLabels } from '../../../services/kit/telemetry/bounded-labels.ts';
import { withJob } from '../../../services/kit/telemetry/job-context.ts';
import { add, record } from '../../../services/kit/telemetry/metrics.ts';
import { describeSpan, failSpan, inSpan, outcomeOf } from '../../../services/kit/telemetry/spans.ts';
import { activeTraceparent, contextOf, linksTo } from '../../../services/kit/telemetry/trace-context.ts';
import type { StageName } from '../../../services/pipeline/stages.ts';
import { type JobModel, modelId } from '../../models/model-route.ts';
import type { Job } from '../job.ts';
import { stageSeconds, totalSeconds } from '../stage-seconds.ts';
import type { Snapshot } from '../store/job-rows.ts';
import type { ClaimedJob } from '../store/leases.ts';

/** Keys that metrics tell apart; a gateway counts the others together. */
const measuredKeys = new BoundedLabels(100);

/**
 * Runs an attempt, or its part after a pause, within a span of the trace that created the job. Later spans, on any
 * replica, continue that trace and link to the previous one.
 */
export function inJobSpan<T>(claimed: ClaimedJob, owner: string, sql: Sql, work: () => Promise<T>): Promise<T> {
  const { id, attempt, pauses, createdAt, startedAt } = claimed.row;
  const model = { 'fusionframes.job.model': modelId(claimed.row) };
  const [creation = '', before = ''] = claimed.traceContext.split(' ');
  if (attempt === 1 && pauses === 0 && startedAt) {
    record('fusionframes.job.queue.wait', (startedAt.getTime() - createdAt.getTime()) / 1000, model);
  }
  const attributes = { 'fusionframes.job.id': id, 'fusionframes.job.attempt': attempt, ...model };
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
export function noteOutcome({ row }: ClaimedJob, status: Snapshot, error: unknown): void {
  describeSpan<'fusionframes.job'>({ 'fusionframes.job.outcome': status.state });
  if (status.failure) {
    failSpan(error);
  }
  noteEnd({ ...row, ...status });
}

/** Records the metrics of a job's end. */
export function noteEnd(job: Snapshot & Pick<Job, 'keyId' | 'createdAt' | 'model' | 'version'>): void {
  const { state, failure } = job;
  const attributes = { 'fusionframes.job.model': modelId(job), 'fusionframes.outcome': state };
  add('fusionframes.jobs.ended', 1, {
    ...attributes,
    ...(failure && { 'error.type': failure.code }),
    ...(failure?.stage && { 'fusionframes.stage': failure.stage }),
  });
  record('fusionframes.job.duration', (Date.now() - job.createdAt.getTime()) / 1000, attributes);
  const key = { 'fusionframes.key': measuredKeys.label(job.keyId || 'none') };
  add('fusionframes.key.jobs', 1, { ...key, 'fusionframes.outcome': state });
  add('fusionframes.key.stage.time', totalSeconds(stageSeconds(job)), key);
}

/** Records in the job's span why the attempt ended before the job did. */
export function noteGivenUp(why: 'given-back' | 'paused' | 'lost'): void {
  describeSpan<'fusionframes.job'>({ 'fusionframes.job.outcome': why });
}

/** Counts that a job was paused for another one. */
export function notePause(job: JobModel): void {
  add('fusionframes.pauses', 1, { 'fusionframes.job.model': modelId(job) });
}

/** Runs a stage of a job in its own span and records its duration. */
export async function inStageSpan<T>(stage: StageName, job: JobModel, work: () => Promise<T>): Promise<T> {
  const start = performance.now();
  const attributes = { 'fusionframes.stage': stage };
  const measure = (outcome: string) =>
    record('fusionframes.stage.duration', (performance.now() - start) / 1000, {
      ...attributes,
      'fusionframes.job.model': modelId(job),
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
