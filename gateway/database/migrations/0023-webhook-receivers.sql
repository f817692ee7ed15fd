-- Hosts that webhooks called, and whether they answered promptly. Those that did not share a part of the places for calls
-- with those that were never called, the one called longest ago first, so that hosts that never answer leave room.
create table webhook_receivers (
  receiver text primary key,
  is_prompt boolean not null,
  called_at timestamptz not null default now()
);
