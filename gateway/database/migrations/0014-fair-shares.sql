-- Weighted fair sharing between keys (start-time fair queueing): starting a job charges its key the job's work divided
-- by the key's share, and the key that was charged least goes next.
alter table api_keys add column share int not null default 1;

-- Pixels to process, in millions; see `videoWork()`.
alter table jobs add column work double precision not null default 1;

-- Virtual time from which the key's next job may start.
alter table key_loads add column virtual_start double precision not null default 0;

-- Virtual start of the latest job. A key that had nothing to do starts from here: it gets no credit for idle time.
create table fair_clock (
  single boolean primary key default true check (single),
  virtual_time double precision not null default 0
);
insert into fair_clock default values;

-- Order within a key. Each level of priority lets a job overtake at most 10 earlier ones, so no job waits forever.
create index jobs_queued_by_key on jobs (key_id, (sequence - 10 * priority), sequence) where state = 'queued';
