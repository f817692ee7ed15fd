-- Secrets shared by this installation.
create table secrets (
  name text primary key,
  value bytea not null
);

-- Hides a job's place in its id: 128 bits of which 122 are random.
insert into secrets (name, value) values ('job_ids', decode(replace(gen_random_uuid()::text, '-', ''), 'hex'));
