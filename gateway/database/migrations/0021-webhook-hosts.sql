-- A receiver is a host whatever the port: otherwise a silent host with many ports takes every place of a key.
create or replace function webhook_receiver(url text) returns text language sql immutable as $$
  select coalesce(substring(url from '^https?://(?:[^/?#]*@)?(\[[^]]*\]|[^:/?#]*)'), '')
$$;

-- Receivers so far are host and port, without a scheme.
update webhook_deliveries set receiver = webhook_receiver('http://' || receiver)
where delivered_at is null and abandoned_at is null and receiver <> webhook_receiver('http://' || receiver);
