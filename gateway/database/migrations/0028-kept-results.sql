-- Results of finished videos may be kept for other videos: those with the same content are equal.
alter table job_results
  -- Hash over everything that determines the result; null if the stage could not name its model.
  add column content text,
  -- When a video last used it; null: it is not kept.
  add column used_at timestamptz;

create index job_results_by_content on job_results (content) where used_at is not null;
create index job_results_by_use on job_results (used_at) where used_at is not null;
