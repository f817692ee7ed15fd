-- When an unfinished job fails; null: never.
alter table jobs add column deadline timestamptz;

create index jobs_overdue on jobs (deadline) where deadline is not null and state in ('queued', 'running');
