-- Recorded stage results that the current attempt did not have to repeat, and seconds per stage in attempts that ended
-- before the stage did.
alter table jobs add column reused_stages int not null default 0, add column lost_seconds jsonb not null default '{}';

-- One row per ended job, written with its end and kept when the job is deleted.
create table usage (
  job_id text primary key,
  key_id text not null,
  key_name text not null,
  model text not null,
  model_version text not null,
  outcome text not null check (outcome in ('succeeded', 'failed', 'cancelled')),
  -- Why it failed, such as PREDICTION_NOT_FINITE; else empty.
  reason text not null,
  -- Of the finished video; 0 without one.
  frames int not null,
  pixels bigint not null,
  -- Time in the stages, in total and by stage.
  seconds double precision not null,
  stage_seconds jsonb not null,
  reused_stages int not null,
  attempts int not null,
  created_at timestamptz not null,
  started_at timestamptz,
  ended_at timestamptz not null
);
create index usage_by_end on usage (ended_at);
create index usage_by_key on usage (key_id, ended_at);

create function keep_usage() returns trigger language plpgsql as $$
begin
  raise exception 'Rows of usage do not change';
end $$;

create trigger usage_append_only before update on usage for each row execute function keep_usage();

-- Totals of each key and day (UTC), so that a budget costs the same however much was used.
create table usage_days (
  key_id text not null,
  day date not null,
  videos bigint not null,
  seconds double precision not null,
  primary key (key_id, day)
);

create function record_usage(job jobs) returns void language plpgsql as $$
declare
  of_stages jsonb;
  total double precision;
  has_video boolean := job.state = 'succeeded';
begin
  select coalesce(jsonb_object_agg(stage, spent), '{}'), coalesce(sum(spent), 0) into of_stages, total
  from (
    select stage, sum(spent) as spent from (
      select entry->>'stage' as stage, (entry->>'seconds')::float8 as spent
      from jsonb_array_elements(job.stages) as entry
      union all
      select key, value::float8 from jsonb_each_text(job.lost_seconds)
    ) as parts group by stage
  ) as stages;
  insert into usage (job_id, key_id, key_name, model, model_version, outcome, reason, frames, pixels, seconds, stage_seconds,
    reused_stages, attempts, created_at, started_at, ended_at)
  values (job.id, job.key_id, coalesce((select name from api_keys where id = job.key_id), ''), job.model, job.model_version, job.state,
    coalesce(job.failure->>'errorReason', job.failure->>'code', ''), job.frames,
    job.frames::bigint * (job.settings->>'width')::bigint * (job.settings->>'height')::bigint, total, of_stages,
    job.reused_stages, job.attempt, job.created_at, job.started_at, job.finished_at)
  on conflict do nothing;
  if found then
    insert into usage_days as days (key_id, day, videos, seconds)
    values (job.key_id, (job.finished_at at time zone 'UTC')::date, has_video::int, total)
    on conflict (key_id, day) do update
      set videos = days.videos + excluded.videos, seconds = days.seconds + excluded.seconds;
  end if;
end $$;

-- A trigger, so that every way to end a job is recorded, those of the release before included.
create function record_job_usage() returns trigger language plpgsql as $$
begin
  perform record_usage(new);
  return null;
end $$;

create trigger jobs_record_usage after update of state on jobs for each row
  when (old.finished_at is null and new.finished_at is not null) execute function record_job_usage();

select record_usage(jobs) from jobs where finished_at is not null order by finished_at;

-- What a key may use: `100-videos/day`, `3600-seconds/month`.
alter table api_keys add column budgets text[] not null default '{}';

-- Every budget with what was used of it in its current day or month (UTC).
create view budget_use as
select budget.key_id, budget.amount, budget.unit, budget.period, coalesce(spent.used, 0) as used,
  (budget.start + ('1 ' || budget.period)::interval) at time zone 'UTC' as resets_at
from (
  select id as key_id, split_part(text, '-', 1)::float8 as amount, split_part(split_part(text, '-', 2), '/', 1) as unit,
    split_part(text, '/', 2) as period, date_trunc(split_part(text, '/', 2), now() at time zone 'UTC') as start
  from api_keys cross join lateral unnest(budgets) as text
) as budget
left join lateral (
  select sum(case budget.unit when 'videos' then videos else seconds end) as used from usage_days
  where usage_days.key_id = budget.key_id and day >= budget.start::date
) as spent on true;
