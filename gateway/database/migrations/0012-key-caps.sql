-- What a key's jobs may ask for at most; null: as much as anyone may.
alter table api_keys add column max_steps int, add column max_frames int, add column max_priority int;
