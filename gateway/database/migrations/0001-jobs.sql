-- Who may call, and how much of it. The anonymous caller, '', has no row.
create table api_keys (
  id text primary key,
  name text not null,
  -- SHA-256 of the secret.
  secret_hash bytea not null,
  scopes text[] not null,
  -- 0 in any of these: no limit.
  concurrent_jobs int not null default 0,
  queued_jobs int not null default 0,
  requests_per_minute int not null default 0,
  created_at timestamptz not null default now(),
  last_used_at timestamptz,
  revoked_at timestamptz
);

-- Token buckets of the keys' rates. Unlogged: written with every request, and a crash may well fill them.
create unlogged table request_rates (
  key_id text primary key references api_keys on delete cascade,
  tokens double precision not null,
  refilled_at timestamptz not null default now()
);

create table jobs (
  id text primary key,
  -- The order in which jobs were accepted.
  sequence bigint generated always as identity unique,
  key_id text not null,
  client_id text not null,
  -- Tells requests under one client id apart.
  fingerprint text not null,
  state text not null check (state in ('queued', 'running', 'succeeded', 'failed', 'cancelled')),
  -- Higher ones are begun first.
  priority smallint not null check (priority between -100 and 100),
  settings jsonb not null,
  previews boolean not null,
  webhook jsonb,
  warnings jsonb not null,
  stages jsonb not null default '[]',
  failure jsonb,
  -- Name -> {key, mediaType, bytes, sha256}; the frames, of which there may be hundreds, apart.
  files jsonb not null default '{}',
  frame_files jsonb not null default '[]',
  frames int not null default 0,
  -- How often the job was begun; with the owner it fences a worker's writes.
  attempt int not null default 0,
  -- Since a stage was last finished: attempts that ended for a passing reason, for lack of progress, with their replica.
  passing_failures int not null default 0,
  stalls int not null default 0,
  crashes int not null default 0,
  -- Replica that works on it. A running job whose lease is over is anybody's.
  owner text,
  lease_until timestamptz,
  -- Number of the last event.
  revision bigint not null default 1,
  trace_context text not null default '',
  created_at timestamptz not null default now(),
  started_at timestamptz,
  finished_at timestamptz,
  -- Set: gone for every caller; its files and then the row are being removed.
  deleted_at timestamptz
);

create unique index jobs_by_client_id on jobs (key_id, client_id) where client_id <> '' and deleted_at is null;
create index jobs_by_key on jobs (key_id, sequence desc) where deleted_at is null;
create index jobs_queued on jobs (priority desc, sequence) where state = 'queued';
create index jobs_leased on jobs (lease_until) where state = 'running';
create index jobs_finished on jobs (finished_at) where finished_at is not null and deleted_at is null;
create index jobs_deleted on jobs (deleted_at) where deleted_at is not null;

-- What a finished stage gave: it is never run again.
create table job_results (
  job_id text not null references jobs on delete cascade,
  stage text not null,
  object_key text not null,
  bytes bigint not null,
  sha256 text not null,
  seconds double precision not null,
  attempt int not null,
  primary key (job_id, stage)
);

-- Every change of a job, without gaps in the numbers. The snapshot holds what can change.
create table job_events (
  job_id text not null references jobs on delete cascade,
  number bigint not null,
  at timestamptz not null default now(),
  kind text not null check (kind in ('state', 'stage', 'progress', 'preview')),
  snapshot jsonb not null,
  primary key (job_id, number)
);

-- Calls to make when a job has ended.
create table webhook_deliveries (
  id text primary key default 'webhook_' || replace(gen_random_uuid()::text, '-', ''),
  job_id text not null references jobs on delete cascade,
  created_at timestamptz not null default now(),
  attempts int not null default 0,
  next_attempt_at timestamptz not null default now(),
  delivered_at timestamptz,
  -- Set: tried often enough.
  abandoned_at timestamptz,
  last_error text not null default ''
);
create index webhook_deliveries_by_job on webhook_deliveries (job_id);
create index webhook_deliveries_due on webhook_deliveries (next_attempt_at)
  where delivered_at is null and abandoned_at is null;

-- Jobs of each key that wait and run, so that a limit costs the same however long the queue is.
create table key_loads (
  key_id text primary key,
  queued int not null default 0,
  running int not null default 0
);

create function count_key_load() returns trigger language plpgsql as $$
declare
  key text := coalesce(new.key_id, old.key_id);
  more_queued int := coalesce((new.state = 'queued')::int, 0) - coalesce((old.state = 'queued')::int, 0);
  more_running int := coalesce((new.state = 'running')::int, 0) - coalesce((old.state = 'running')::int, 0);
begin
  if more_queued <> 0 or more_running <> 0 then
    insert into key_loads as loads (key_id, queued, running) values (key, more_queued, more_running)
      on conflict (key_id) do update set queued = loads.queued + more_queued, running = loads.running + more_running;
  end if;
  return null;
end $$;

create trigger jobs_count_key_load after insert or delete or update of state on jobs
  for each row execute function count_key_load();
