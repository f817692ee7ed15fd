-- Hosts that answered their last webhook call promptly. All others share a part of the places for calls, so that those
-- that never answer leave room.
create table webhook_receivers (
  receiver text primary key,
  answered_at timestamptz not null default now()
);
