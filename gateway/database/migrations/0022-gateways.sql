-- The gateways on this database, by the name that each keeps when it restarts.
create table gateways (
  name text primary key,
  -- The process that has the name: `owner` of the jobs that it works on.
  owner text not null,
  started_at timestamptz not null default now(),
  seen_at timestamptz not null default now(),
  -- A paused gateway starts no jobs; a draining one also wants no calls.
  mode text not null default 'active' check (mode in ('active', 'paused', 'draining')),
  mode_since timestamptz not null default now()
);

-- What operators have done, for the record.
create table operator_actions (
  number bigint generated always as identity primary key,
  at timestamptz not null default now(),
  -- API key of the operator; empty as long as there are no keys.
  key_id text not null,
  action text not null,
  -- What it was done to: a gateway's name, or the id of a key or job.
  target text not null,
  details jsonb not null default '{}'
);
create index operator_actions_by_target on operator_actions (target, number desc);
