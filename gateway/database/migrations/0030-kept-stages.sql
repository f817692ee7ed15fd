-- Stages after the text encoder whose results other videos had when the job was accepted: it is not charged for them.
alter table jobs add column kept_stages smallint not null default 0;
