import { afterAll, describe, expect, test } from '@jest/globals';
import type { Sql } from 'postgres';
import { anonymous } from '../../keys/caller.ts';
import { stopTestServer } from '../../testing/data.ts';
import { cancelJob } from './end-job.ts';
import { LeaseLost } from './job-ledger.ts';
import { toJob } from './job-rows.ts';
import { readEvents, readJob } from './read-jobs.ts';
import { adopt, claim, claimed, create, expireLease, failure, file, ledgerOf, stage, withSql } from './testing.ts';

afterAll(stopTestServer);

describe('a ledger', () => {
  test('writes every change as an event, in order and without gaps', () =>
    withSql(async (sql) => {
      const id = await create(sql);
      const ledger = ledgerOf(sql, await claimed(sql));
      for (let step = 0; step < 9; step++) {
        ledger.change('progress', { stages: [stage(step)] });
      }
      await ledger.record(
        { stage: 'keyframes', key: 'r', bytes: 5, sha256: 'cd', seconds: 0.5 },
        { stages: [stage(9)] },
      );
      await ledger.finish({ state: 'succeeded', files: { video: file }, frameFiles: [file], frames: 57 });
      const events = await readEvents(sql, id, 0, 99);
      expect(events.map(({ number }) => number)).toEqual(Array.from({ length: 13 }, (_, index) => index + 1));
      expect(events.slice(2, 11).map(({ snapshot }) => snapshot.stages[0]?.step)).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8]);
      expect(await readJob(sql, id, anonymous)).toMatchObject({
        state: 'succeeded',
        files: { video: file },
        frames: 57,
        revision: 13,
        finishedAt: expect.any(Date),
      });
      expect(await sql`select * from job_results`).toEqual([]);
    }));

  test('the next attempt gets recorded results; unfinished stages are dropped', () =>
    withSql(async (sql) => {
      const id = await create(sql);
      const ledger = ledgerOf(sql, await claimed(sql));
      await ledger.record(
        { stage: 'text-encoder', key: 'r', bytes: 5, sha256: 'cd', seconds: 1 },
        { stages: [stage(9)] },
      );
      ledger.change('progress', { stages: [stage(9), stage(4)] });
      await ledger.release(0, { passingFailures: 3, faults: 1 });
      const next = await claimed(sql, 'other');
      expect(next).toMatchObject({
        row: { id, attempt: 2, stages: [stage(9)] },
        passingFailures: 3,
        faults: 1,
        crashes: 0,
      });
      expect(next.results).toEqual(new Map([['text-encoder', { key: 'r', bytes: 5, sha256: 'cd', content: null }]]));
    }));

  test('everything that belongs to a change is written in the same transaction', () =>
    withSql(async (sql) => {
      const id = await create(sql);
      const ledger = ledgerOf(sql, await claimed(sql));
      const results = ['one', 'two'].map((name) => ({ stage: name, key: name, bytes: 1, sha256: 'ab', seconds: 1 }));
      // All at once: the first write finds every change.
      ledger.change('progress', { stages: [stage(9)] });
      const recorded = results.map((result) => ledger.record(result, { stages: [stage(9)] }));
      await Promise.all(recorded);
      expect(await sql`select stage from job_results where job_id = ${id} order by stage`).toEqual([
        { stage: 'one' },
        { stage: 'two' },
      ]);
      ledger.change('progress', { stages: [stage(9), stage(1)] });
      await ledger.finish({ state: 'failed', failure });
      expect(await sql`select finished_at is not null as finished, owner from jobs where id = ${id}`).toEqual([
        { finished: true, owner: null },
      ]);
    }));

  test('a failure is stored by the names that earlier releases read', () =>
    withSql(async (sql) => {
      const id = await create(sql);
      await ledgerOf(sql, await claimed(sql)).finish({ state: 'failed', failure });
      const stored = { code: 'INTERNAL', reason: 'NaN', errorReason: 'PREDICTION_NOT_FINITE', attempt: 1 };
      expect(await sql`select failure from jobs where id = ${id}`).toEqual([{ failure: stored }]);
      expect((await readEvents(sql, id, 0, 9)).at(-1)!.snapshot.failure).toEqual(stored);
      expect(toJob((await readJob(sql, id, anonymous))!, 60).failure).toEqual(failure);
    }));

  test('a failure without a reason, as the first release stored it, has its code as its reason', () =>
    withSql(async (sql) => {
      const id = await create(sql);
      const stored = { code: 'UNAVAILABLE', stage: 'decoder', reason: 'no replica', attempt: 3 };
      await sql`update jobs set state = 'failed', failure = ${sql.json(stored)} where id = ${id}`;
      expect(toJob((await readJob(sql, id, anonymous))!, 60).failure).toEqual({
        code: 'UNAVAILABLE',
        stage: 'decoder',
        message: 'no replica',
        reason: 'UNAVAILABLE',
        attempt: 3,
      });
    }));

  test('a job released with a delay is not claimed earlier', () =>
    withSql(async (sql) => {
      await create(sql);
      await ledgerOf(sql, await claimed(sql)).release(0.3, { passingFailures: 1, faults: 0 });
      expect(await claim(sql, 'other')).toBeUndefined();
      await sql`select pg_sleep(0.4)`;
      expect(await adopt(sql, 'other')).toBeUndefined();
      expect(await claim(sql, 'other')).toMatchObject({ row: { attempt: 2 } });
    }));

  test.each<[string, (sql: Sql, id: string) => Promise<unknown>, string]>([
    ['was taken over', (sql, id) => expireLease(sql, id).then(() => adopt(sql, 'other')), 'running'],
    ['was taken over by the same replica', (sql, id) => expireLease(sql, id).then(() => adopt(sql, 'me')), 'running'],
    ['was cancelled', (sql, id) => cancelJob(sql, id, anonymous), 'cancelled'],
  ])('a worker whose job %s changes nothing', (_, take, state) =>
    withSql(async (sql) => {
      const id = await create(sql);
      let lost = 0;
      const ledger = ledgerOf(sql, await claimed(sql), 'me', () => lost++);
      await take(sql, id);
      const before = await sql`select * from jobs`;
      const events = await sql`select * from job_events`;
      ledger.change('progress', { stages: [stage(1)] });
      await expect(ledger.settled()).rejects.toBeInstanceOf(LeaseLost);
      const result = { stage: 'keyframes', key: 'r', bytes: 5, sha256: 'cd', seconds: 0.5 };
      await expect(ledger.record(result, {})).rejects.toBeInstanceOf(LeaseLost);
      await expect(ledger.finish({ state: 'succeeded', files: {}, frameFiles: [], frames: 1 })).rejects.toBeInstanceOf(
        LeaseLost,
      );
      await expect(ledger.release(0, { passingFailures: 0, faults: 0 })).rejects.toBeInstanceOf(LeaseLost);
      expect(lost).toBe(1);
      expect(await sql`select * from jobs`).toEqual(before);
      expect(await sql`select * from job_events`).toEqual(events);
      expect(await sql`select * from job_results`).toEqual([]);
      expect(before[0]).toMatchObject({ state });
    }),
  );

  test('a write whose answer was lost is not made twice', () =>
    withSql(async (sql) => {
      const id = await create(sql);
      let fail = true;
      // The statement takes effect; only its answer does not arrive.
      const unlucky = new Proxy(sql, {
        apply: (target, self, [strings, ...values]) => {
          const query = Reflect.apply(target, self, [strings, ...values]);
          if (fail && /with job as/.test(strings[0])) {
            fail = false;
            return query.then(() => Promise.reject(Object.assign(new Error('lost'), { code: 'CONNECTION_CLOSED' })));
          }
          return query;
        },
      });
      const ledger = ledgerOf(unlucky, await claimed(sql));
      ledger.change('progress', { stages: [stage(1)] });
      await ledger.settled();
      ledger.change('progress', { stages: [stage(2)] });
      await ledger.settled();
      expect(fail).toBe(false);
      const events = await readEvents(sql, id, 2, 99);
      expect(events.map(({ number, snapshot }) => [number, snapshot.stages[0]?.step])).toEqual([
        [3, 1],
        [4, 2],
      ]);
    }));
});
