-- Jobs of each model and version that a gateway runs at once; null from gateways of the release before.
alter table gateways add column places int;
