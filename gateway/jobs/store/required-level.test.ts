import { afterAll, expect, test } from '@jest/globals';
import type { Sql } from 'postgres';
import { loadPreset } from '../../../services/pipeline/preset.ts';
import { transact } from '../../database/transact.ts';
import type { Watermark } from '../../media/watermark.ts';
import { singleRoute } from '../../models/model-route.ts';
import { Models } from '../../models/models.ts';
import type { Moderation } from '../../moderation/moderation.ts';
import type { VideoSigner } from '../../provenance/video-signer.ts';
import { stopTestServer } from '../../testing/data.ts';
import { newJob } from '../../testing/new-job.ts';
import { knownLevel, requiredLevel } from '../required-level.ts';
import { claimUnserved } from './leases.ts';
import { noteServed } from './served-models.ts';
import { addKey, adopt, claim, claimed, create, expireLease, ledgerOf, withSql } from './testing.ts';

afterAll(stopTestServer);

/** The claim of the release before the level, statement by statement. */
function claimAsBefore(sql: Sql, take: 'waiting' | 'silent' = 'waiting'): Promise<string | undefined> {
  return transact(sql, async (transaction) => {
    const [found] = await transaction<{ id: string }[]>`
      select id from jobs
      where id = coalesce(
        (select id from jobs
          where state = 'running' and lease_until < now() and (owner is null) = ${take === 'waiting'}
          order by lease_until limit 1),
        (select id from jobs
          where ${take === 'waiting'} and state = 'queued' and key_id <> all(array(
            select loads.key_id from key_loads as loads join api_keys on api_keys.id = loads.key_id
            where api_keys.concurrent_jobs > 0 and loads.running >= api_keys.concurrent_jobs))
          order by priority desc, sequence limit 1))
        and (state = 'queued' or (state = 'running' and lease_until < now()))
      for update skip locked`;
    if (found) {
      await transaction`
        update jobs set state = 'running', attempt = attempt + 1, stages = '[]', owner = 'old',
          lease_until = now() + interval '8 seconds', revision = revision + 1, started_at = coalesce(started_at, now())
        where id = ${found.id} returning *`;
    }
    return found?.id;
  });
}

test('a job requires a newer release only for what that brought', () => {
  const models = new Models([singleRoute({ preset: loadPreset('nano'), stageAddresses: {} as never, warnings: [] })]);
  const plain = { models, moderation: undefined, watermark: undefined, signer: undefined };
  const webhook = { url: 'https://example.com', secret: 's' };
  expect(requiredLevel({ ...newJob, webhook }, plain)).toBe(0);
  expect(requiredLevel({ ...newJob, version: '2' }, plain)).toBe(1);
  expect(requiredLevel({ ...newJob, model: 'tiny' }, plain)).toBe(1);
  expect(requiredLevel({ ...newJob, webhook: { ...webhook, events: ['running'] } }, plain)).toBe(1);
  expect(requiredLevel(newJob, { ...plain, moderation: { checksFrames: false } as Moderation })).toBe(0);
  expect(requiredLevel(newJob, { ...plain, moderation: { checksFrames: true } as Moderation })).toBe(1);
  expect(requiredLevel(newJob, { ...plain, signer: {} as VideoSigner })).toBe(1);
  expect(requiredLevel(newJob, { ...plain, watermark: {} as Watermark })).toBe(1);
});

test('a gateway of the previous release makes the jobs that it can make', () =>
  withSql(async (sql) => {
    const id = await create(sql);
    expect(await claimAsBefore(sql)).toBe(id);
    await expireLease(sql, id);
    expect(await adopt(sql, 'new')).toMatchObject({ row: { id, attempt: 2 } });
    await expireLease(sql, id);
    expect(await claimAsBefore(sql, 'silent')).toBe(id);
  }));

test('it gets no job that only newer gateways can make: neither a new nor a released nor an abandoned one', () =>
  withSql(async (sql) => {
    const id = await create(sql, { requiredLevel: 1 });
    const refused = `Only gateways of a newer release can make job ${id}`;
    await expect(claimAsBefore(sql)).rejects.toThrow(refused);
    const first = await claimed(sql);
    expect(first.row).toMatchObject({ id, attempt: 1 });
    await ledgerOf(sql, first).release(0, { passingFailures: 1, faults: 0 });
    await expect(claimAsBefore(sql)).rejects.toThrow(refused);
    expect((await claimed(sql)).row).toMatchObject({ id, attempt: 2 });
    await expireLease(sql, id);
    await expect(claimAsBefore(sql, 'silent')).rejects.toThrow(refused);
    expect(await adopt(sql, 'new')).toMatchObject({ row: { id, attempt: 3 } });
  }));

test('it starts no job of a key whose budget is used', () =>
  withSql(async (sql) => {
    const caller = await addKey(sql, 'limited', {});
    const id = await create(sql, {}, caller);
    await sql`update api_keys set budgets = '{5-seconds/day}' where id = 'limited'`;
    await sql`insert into usage_days (key_id, day, videos, seconds) values ('limited', (now() at time zone 'UTC')::date, 1, 5)`;
    await expect(claimAsBefore(sql)).rejects.toThrow(`The budget of the key of job ${id} is used`);
    await sql`update usage_days set seconds = 4`;
    expect(await claimAsBefore(sql)).toBe(id);
  }));

test('this release leaves jobs alone that require more than it knows, and takes those behind them', () =>
  withSql(async (sql) => {
    const id = await create(sql, { requiredLevel: knownLevel + 1, priority: 100 });
    const other = await create(sql, { requiredLevel: knownLevel });
    expect((await claimed(sql)).row.id).toBe(other);
    expect(await claim(sql)).toBeUndefined();
    await noteServed(sql, [newJob]);
    await sql`update model_routes set served_at = now() - interval '601 seconds'`;
    expect(await claimUnserved(sql, 'me', 600)).toBeUndefined();
    await sql`update jobs set state = 'running', owner = 'newer', lease_until = now() - interval '1 second' where id = ${id}`;
    expect(await adopt(sql, 'me')).toBeUndefined();
  }));
