-- When some gateway last had a route to a model. Jobs of a model that none serves any more must not wait forever.
create table model_routes (
  model text not null,
  version text not null,
  served_at timestamptz not null,
  primary key (model, version)
);

-- The next job of a key among those of one model, whatever else waits.
create index jobs_queued_by_model on jobs (key_id, model, model_version, (sequence - 10 * priority), sequence)
  where state = 'queued';
