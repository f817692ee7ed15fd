-- Pictures that videos begin with: PNG files in the object store. Videos may share one.
create table pictures (
  id text primary key,
  created_at timestamptz not null default now(),
  -- Its file is being removed, and no new job may use it.
  removed_at timestamptz
);

-- The picture's id and the file's size and hashes; null: the video is made from text only.
alter table jobs add column picture jsonb;

create index jobs_by_picture on jobs ((picture->>'id')) where picture is not null;
