-- Whom a call goes to and whose it is, so that calls can be shared out between receivers and between keys.
alter table webhook_deliveries add column receiver text not null default '', add column key_id text not null default '';

-- Host and port of a URL; jobs hold URLs as `new URL(url).href` writes them.
create function webhook_receiver(url text) returns text language sql immutable as $$
  select coalesce(substring(url from '^https?://(?:[^/?#]*@)?([^/?#]*)'), '')
$$;

update webhook_deliveries as delivery set receiver = webhook_receiver(job.webhook->>'url'), key_id = job.key_id
from jobs as job where job.id = delivery.job_id;

-- Also fills the columns for the release before, which does not know them.
create function describe_webhook_delivery() returns trigger language plpgsql as $$
begin
  select webhook_receiver(job.webhook->>'url'), job.key_id into new.receiver, new.key_id
  from jobs as job where job.id = new.job_id;
  perform pg_notify('fusionframes_webhooks_due', '');
  return new;
end $$;

create trigger webhook_deliveries_describe before insert on webhook_deliveries
  for each row execute function describe_webhook_delivery();

create index webhook_deliveries_due_by_receiver on webhook_deliveries (receiver, next_attempt_at)
  where delivered_at is null and abandoned_at is null;
