import type { Sql } from 'postgres';

/** A job's traces in the database. */
export interface JobHistory {
  id: string;
  state: string;
  attempt: number;
  failure: unknown;
  /** Hash of every file, by name. */
  files: Record<string, string>;
  /** Seconds from its acceptance to its end. */
  seconds: number;
  /** Stages restarted after their result was recorded, and results recorded twice. */
  redone: string[];
  /** Denoising steps, of those that the events report, that were made again. */
  redoneSteps: number;
  /** Faults in the row of its events: gaps, more than one end. */
  disorder: string[];
}

/** A stage's place among the stages of its job, by the name of its result. */
function placeOf(result: string): number {
  const pass = /^interpolation-(\d+)$/.exec(result)?.[1];
  return pass === undefined ? ['text-encoder', 'keyframes'].indexOf(result) : Number(pass) + 1;
}

/** Remembers every recorded result, because the gateway removes results when their job ends. */
export async function rememberResults(sql: Sql): Promise<void> {
  await sql.unsafe(`
    create table remembered_results (job_id text, stage text, attempt int);
    create function remember_result() returns trigger language plpgsql as $$ begin
      insert into remembered_results values (new.job_id, new.stage, new.attempt);
      return null;
    end $$;
    create trigger remember_result after insert on job_results for each row execute function remember_result();`);
}

interface EventRow {
  number: number;
  kind: string;
  state: string;
  attempt: number;
  stages: { stage: string; step: number; total: number }[];
}

/** Reads a job's history; results are known since {@link rememberResults}. `undefined` if there is no such job. */
export async function jobHistory(sql: Sql, id: string): Promise<JobHistory | undefined> {
  const [job] = await sql<
    {
      state: string;
      attempt: number;
      revision: number;
      failure: unknown;
      files: Record<string, { sha256: string }>;
      seconds: number;
    }[]
  >`
    select state, attempt, revision, failure, files,
      extract(epoch from coalesce(finished_at, now()) - created_at)::float8 as seconds
    from jobs where id = ${id}`;
  if (!job) {
    return undefined;
  }
  const events = await sql<EventRow[]>`
    select number, kind, snapshot->>'state' as state, (snapshot->>'attempt')::int as attempt, snapshot->'stages' as stages
    from job_events where job_id = ${id} order by number`;
  const results = await sql<{ stage: string; attempt: number }[]>`
    select stage, attempt from remembered_results where job_id = ${id}`;
  const { state, attempt, failure, seconds } = job;
  const files = Object.fromEntries(
    Object.entries(job.files)
      .map(([name, { sha256 }]) => [name, sha256] as const)
      .sort(),
  );
  return {
    id,
    state,
    attempt,
    failure,
    files,
    seconds,
    redone: redoneStages(events, results),
    redoneSteps: redoneSteps(events),
    disorder: disorderOf(events, job.revision),
  };
}

/** Events report a step after it is made; a stage that begins reports the step after which it continues. */
function redoneSteps(events: readonly EventRow[]): number {
  const reached = new Map<number, number>();
  let redone = 0;
  for (const { stages } of events) {
    const place = stages.length - 1;
    const latest = stages[place];
    if (latest && (latest.stage === 'keyframes' || latest.stage === 'interpolation')) {
      redone += Math.max(0, (reached.get(place) ?? 0) - latest.step);
      reached.set(place, latest.step);
    }
  }
  return redone;
}

function redoneStages(events: readonly EventRow[], results: readonly { stage: string; attempt: number }[]): string[] {
  const recorded = new Map<number, number>();
  const redone: string[] = [];
  for (const { stage, attempt } of results) {
    const place = placeOf(stage);
    if (recorded.has(place)) {
      redone.push(`${stage} was recorded by attempts ${recorded.get(place)} and ${attempt}`);
    }
    recorded.set(place, Math.min(attempt, recorded.get(place) ?? attempt));
  }
  const begun = new Set<string>();
  for (const { kind, attempt, stages } of events) {
    const place = stages.length - 1;
    const latest = stages[place];
    if (kind !== 'stage' || latest?.step !== 0) {
      continue;
    }
    const by = recorded.get(place);
    if ((by !== undefined && by < attempt) || begun.has(`${place} ${attempt}`)) {
      redone.push(`${latest.stage} (place ${place}) was begun by attempt ${attempt}, recorded by ${by}`);
    }
    begun.add(`${place} ${attempt}`);
  }
  return redone;
}

function disorderOf(events: readonly EventRow[], revision: number): string[] {
  const gap = events.findIndex(({ number }, index) => number !== index + 1);
  const ends = events.filter(({ state }) => !['queued', 'running'].includes(state)).length;
  return [
    ...(gap === -1 ? [] : [`event ${gap + 1} is missing`]),
    ...(events.length === revision ? [] : [`${events.length} events at revision ${revision}`]),
    ...(ends > 1 ? [`it ended ${ends} times`] : []),
  ];
}
