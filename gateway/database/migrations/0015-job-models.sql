-- Model that makes the video: name of its preset, and the version where it has several. Empty: the gateway's default, for
-- jobs from the release that had only one.
alter table jobs add column model text not null default '', add column model_version text not null default '';
