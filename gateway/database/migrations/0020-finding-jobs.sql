-- The creator's own facts about a job, and the job whose settings it repeats with another prompt.
alter table jobs add column metadata jsonb not null default '{}', add column remix_of text not null default '';

-- For lists: by state, model, time and facts, newest first.
create index jobs_by_state on jobs (state, sequence desc) where deleted_at is null;
create index jobs_by_key_and_state on jobs (key_id, state, sequence desc) where deleted_at is null;
create index jobs_by_model on jobs (model, model_version, sequence desc) where deleted_at is null;
create index jobs_by_creation on jobs (created_at) where deleted_at is null;
create index jobs_by_metadata on jobs using gin (metadata jsonb_path_ops) where deleted_at is null and metadata <> '{}';

-- The event that a call is about, by its number among the job's; null: the end of the job.
alter table webhook_deliveries add column event text not null default '', add column revision bigint;
