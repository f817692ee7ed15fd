import { afterAll, describe, expect, test } from '@jest/globals';
import { anonymous } from '../../keys/caller.ts';
import { stopTestServer } from '../../testing/data.ts';
import { newJob } from '../../testing/new-job.ts';
import { cancelJob } from './end-job.ts';
import { type ClaimedJob, claimUnserved, renewLeases, shortenLeases } from './leases.ts';
import { noteServed } from './served-models.ts';
import { addKey, adopt, claim, claimed, create, expireLease, ledgerOf, stage, withSql } from './testing.ts';

afterAll(stopTestServer);

describe('claiming', () => {
  test('follows priority, then age, and claims each job once', () =>
    withSql(async (sql) => {
      const low = await create(sql, { priority: -1 });
      const first = await create(sql);
      const second = await create(sql);
      const urgent = await create(sql, { priority: 100 });
      const order = [];
      for (let job = await claim(sql); job; job = await claim(sql)) {
        order.push(job.row.id);
        expect(job.row).toMatchObject({ state: 'running', attempt: 1, revision: 2 });
      }
      expect(order).toEqual([urgent, first, second, low]);
    }));

  test('takes only jobs of its models, and a job of one that none serves any more is claimed to be ended', () =>
    withSql(async (sql) => {
      const id = await create(sql, { version: 'old' });
      expect(await claim(sql)).toBeUndefined();
      await noteServed(sql, [{ model: 'nano', version: 'old' }, newJob]);
      const unserved = () => claimUnserved(sql, 'me', 600);
      expect(await unserved()).toBeUndefined();
      await sql`update model_routes set served_at = now() - interval '601 seconds' where version = 'old'`;
      expect((await unserved())?.row).toMatchObject({ id, state: 'running' });
      await cancelJob(sql, id, anonymous);
      expect(await unserved()).toBeUndefined();
      expect(await sql`select version from model_routes`).toMatchObject([{ version: '' }]);
    }));

  test('a clock set back does not hold jobs of dead replicas or paused jobs', () =>
    withSql(async (sql) => {
      const ids = [await create(sql), await create(sql)];
      const [kept, paused] = [await claimed(sql), await claimed(sql)];
      await ledgerOf(sql, paused).release(30, { passingFailures: 1, faults: 0 });
      await shortenLeases(sql);
      const ends = () => sql<{ seconds: number }[]>`
        select extract(epoch from lease_until - now())::float8 as seconds from jobs order by sequence`;
      expect((await ends())[1]!.seconds).toBeGreaterThan(20);
      await sql`update jobs set lease_until = lease_until + interval '1 hour'`;
      await shortenLeases(sql);
      expect((await ends()).every(({ seconds }) => seconds < 9)).toBe(true);
      // Its replica lives.
      expect([...(await renewLeases(sql, 'me', ids)).keys()]).toEqual([kept.row.id]);
    }));

  test('two replicas at once never take the same job', () =>
    withSql(async (sql) => {
      for (let count = 0; count < 10; count++) {
        await create(sql);
      }
      const claims = await Promise.all(Array.from({ length: 15 }, (_, index) => claim(sql, `replica ${index % 2}`)));
      const ids = claims.flatMap((job) => job?.row.id ?? []);
      expect(ids).toHaveLength(10);
      expect(new Set(ids).size).toBe(10);
    }));

  test("leaves a key's jobs waiting beyond its limit, and others pass", () =>
    withSql(async (sql) => {
      const caller = await addKey(sql, 'limited', { concurrentJobs: 2 });
      const own = [await create(sql, {}, caller), await create(sql, {}, caller), await create(sql, {}, caller)];
      const other = await create(sql, { priority: -100 });
      const claims = await Promise.all([claim(sql), claim(sql), claim(sql), claim(sql)]);
      expect(claims.map((job) => job?.row.id).sort()).toEqual([...own.slice(0, 2), other, undefined].sort());
      await cancelJob(sql, own[0]!, caller);
      expect((await claim(sql))?.row.id).toBe(own[2]);
    }));

  test('adopts a job when its lease has expired, not before, and never from itself', () =>
    withSql(async (sql) => {
      const id = await create(sql);
      expect(await adopt(sql, 'other')).toBeUndefined();
      await claim(sql, 'dead');
      expect(await adopt(sql, 'other')).toBeUndefined();
      await expireLease(sql, id);
      expect(await adopt(sql, 'dead', [id])).toBeUndefined();
      expect(await claim(sql, 'other')).toBeUndefined();
      expect(await adopt(sql, 'other')).toMatchObject({ row: { id, attempt: 2 }, crashes: 0 });
      expect(await renewLeases(sql, 'dead', [id])).toEqual(new Map());
      expect(await renewLeases(sql, 'other', [id])).toEqual(new Map([[id, 2]]));
    }));

  test("counts a gateway's crash against a job only while the gateway was encoding its pictures", () =>
    withSql(async (sql) => {
      const id = await create(sql);
      const ledger = ledgerOf(sql, await claimed(sql, 'dead'), 'dead');
      ledger.change('stage', { stages: [stage(3)] });
      await ledger.settled();
      await expireLease(sql, id);
      const second = (await adopt(sql, 'second')) as ClaimedJob;
      expect(second.crashes).toBe(0);
      const next = ledgerOf(sql, second, 'second');
      next.change('stage', { stages: [{ ...stage(3), stage: 'decoder' }] });
      await next.settled();
      await expireLease(sql, id);
      expect((await adopt(sql, 'third'))?.crashes).toBe(1);

      const shown = await create(sql, { previews: true });
      await claim(sql, 'dead');
      await expireLease(sql, shown);
      expect((await adopt(sql, 'third'))?.crashes).toBe(1);
    }));

  test('a renewed lease is not taken over', () =>
    withSql(async (sql) => {
      const id = await create(sql);
      await claim(sql);
      await expireLease(sql, id);
      await renewLeases(sql, 'me', [id]);
      expect(await adopt(sql, 'other')).toBeUndefined();
    }));
});
