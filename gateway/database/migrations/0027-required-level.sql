-- What a gateway must know to make the video; gateways claim only jobs up to the level that they know. 0: what the release
-- before can do.
alter table jobs add column required_level smallint not null default 0;

-- The release before does not read the level, and knows no budgets. Its claims fail here, and a newer gateway makes those.
create function refuse_old_claim() returns trigger language plpgsql as $$
begin
  if new.required_level > 0 then
    raise exception 'Only gateways of a newer release can make job %', new.id;
  end if;
  if old.started_at is null and exists (select from budget_use where key_id = new.key_id and used >= amount) then
    raise exception 'The budget of the key of job % is used, which only gateways of a newer release observe', new.id;
  end if;
  return new;
end $$;

create trigger jobs_refuse_old_claim before update of attempt on jobs for each row
  -- Newer releases note when they claim.
  when (new.attempt > old.attempt and new.claimed_at is not distinct from old.claimed_at)
  execute function refuse_old_claim();
