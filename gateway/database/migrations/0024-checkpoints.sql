-- Where the unfinished stage of a job can continue: the latest of its checkpoints, which lie in the object store.
create table job_checkpoints (
  job_id text primary key references jobs on delete cascade,
  -- Its name among the job's results.
  stage text not null,
  -- Denoising steps done.
  step int not null,
  -- Which run of the stage it belongs to, as the stage names it.
  run text not null,
  object_key text not null,
  bytes bigint not null,
  sha256 text not null,
  -- Time in the stage up to the step.
  seconds double precision not null
);
