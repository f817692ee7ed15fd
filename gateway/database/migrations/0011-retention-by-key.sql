-- When a finished job goes that is one too many of its key; null: when it has been kept for as long as is set.
alter table jobs add column expires_at timestamptz;

-- The finished jobs of each key, those with files apart from those without.
create index jobs_finished_by_key on jobs (key_id, (state = 'succeeded'), finished_at desc, sequence desc)
  where finished_at is not null and deleted_at is null and expires_at is null;

create index jobs_expiring on jobs (expires_at) where expires_at is not null and deleted_at is null;
