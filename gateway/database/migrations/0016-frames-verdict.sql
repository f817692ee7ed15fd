-- The moderation service's verdict on the frames, stored before anything follows from it: an interrupted job is not
-- judged a second time.
alter table jobs add column frames_verdict jsonb;
