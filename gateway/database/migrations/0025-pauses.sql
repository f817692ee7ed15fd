-- A running job may be paused for a waiting one that goes before it: it is queued again, with its results and checkpoint.
alter table jobs
  -- How often that happened.
  add column pauses int not null default 0,
  add column paused_at timestamptz,
  -- The job for which it is to pause, or is paused.
  add column pause_for text,
  -- When the current attempt, or the part of it since the last pause, was claimed.
  add column claimed_at timestamptz,
  -- Virtual time at which its key was charged for it. It is not charged again after a pause.
  add column virtual_start double precision;

create index jobs_paused on jobs (key_id) where state = 'queued' and started_at is not null;
create index jobs_paused_for on jobs (pause_for) where pause_for is not null;
