import { afterAll, describe, expect, test } from '@jest/globals';
import { Status } from 'nice-grpc-common';
import type { Sql } from 'postgres';
import { anonymous, type Caller } from '../../keys/caller.ts';
import { stopTestServer, withData } from '../../testing/data.ts';
import { newJob } from '../../testing/new-job.ts';
import type { JobFailure, NewJob } from '../job.ts';
import { createJob } from './create-job.ts';
import { cancelJob, cancelJobsOfKey } from './end-job.ts';
import { JobLedger, LeaseLost } from './job-ledger.ts';
import { toJob } from './job-rows.ts';
import { type ClaimedJob, claimJob, renewLeases, shortenLeases } from './leases.ts';
import { listJobs, readEvents, readJob } from './read-jobs.ts';
import { hiddenJobs, markDeleted, markExpired, removeRow } from './retention.ts';

afterAll(stopTestServer);

const forever = new AbortController().signal;
const withSql = (use: (sql: Sql) => Promise<void>) => withData(({ database }) => use(database.sql));

async function create(sql: Sql, job: Partial<NewJob> = {}, caller: Caller = anonymous): Promise<string> {
  return (await createJob(sql, { ...newJob, ...job }, caller, 1000)).row.id;
}

function claim(sql: Sql, owner = 'me'): Promise<ClaimedJob | undefined> {
  return claimJob(sql, { owner, running: [], take: 'waiting' });
}

function adopt(sql: Sql, owner: string, running: string[] = []): Promise<ClaimedJob | undefined> {
  return claimJob(sql, { owner, running, take: 'silent' });
}

async function claimed(sql: Sql, owner = 'me'): Promise<ClaimedJob> {
  return (await claim(sql, owner)) as ClaimedJob;
}

function ledgerOf(sql: Sql, job: ClaimedJob, owner = 'me', onLost = () => {}): JobLedger {
  return new JobLedger({ sql, claimed: job, owner, signal: forever, vitals: { writingSince: undefined }, onLost });
}

/** As when its owner has been silent for too long. */
function expireLease(sql: Sql, id: string) {
  return sql`update jobs set lease_until = now() - interval '1 second' where id = ${id}`;
}

async function addKey(sql: Sql, id: string, limits: { concurrentJobs?: number; queuedJobs?: number }): Promise<Caller> {
  const { concurrentJobs = 0, queuedJobs = 0 } = limits;
  await sql`
    insert into api_keys (id, name, secret_hash, scopes, concurrent_jobs, queued_jobs)
    values (${id}, ${id}, ${Buffer.from('')}, ${['create', 'read']}, ${concurrentJobs}, ${queuedJobs})`;
  return { keyId: id, scopes: ['create', 'read'], limits: { concurrentJobs, queuedJobs, requestsPerMinute: 0 } };
}

const stage = (step: number) => ({ stage: 'keyframes' as const, step, total: 9, seconds: 0.5 });
const failure: JobFailure = { code: 'INTERNAL', reason: 'PREDICTION_NOT_FINITE', message: 'NaN', attempt: 1 };
const file = { key: 'k', mediaType: 'video/mp4', bytes: 7, sha256: 'ab' };

describe('creating', () => {
  test('stores everything about a job, with its first event', () =>
    withSql(async (sql) => {
      const job = {
        ...newJob,
        priority: -7,
        previews: true,
        webhook: { url: 'http://x/', secret: 's' },
        clientId: 'c',
      };
      const { row } = await createJob(sql, job, anonymous, 10);
      const { fingerprint: _, work: __, ...told } = job;
      expect(row).toMatchObject({
        ...told,
        settings: { ...job.settings, seed: String(2n ** 64n - 1n) },
        state: 'queued',
        attempt: 0,
        revision: 1,
      });
      expect(await readJob(sql, row.id, anonymous)).toEqual(row);
      expect(await readEvents(sql, row.id, 0, 9)).toMatchObject([{ number: 1, kind: 'state' }]);
    }));

  test('the same request under the same id is replayed and a different one rejected, even if the queue is full', () =>
    withSql(async (sql) => {
      const mine = { ...newJob, clientId: 'mine' };
      const first = await createJob(sql, mine, anonymous, 1);
      expect(await createJob(sql, mine, anonymous, 1)).toMatchObject({ row: { id: first.row.id }, replayed: true });
      await expect(createJob(sql, { ...mine, fingerprint: 'other' }, anonymous, 1)).rejects.toMatchObject({
        code: Status.ALREADY_EXISTS,
        reason: 'CLIENT_ID_IN_USE',
        field: 'client_id',
      });
      const other = await addKey(sql, 'other', {});
      expect((await createJob(sql, mine, other, 9)).row.id).not.toBe(first.row.id);
    }));

  test('many of the same request at once make one job', () =>
    withSql(async (sql) => {
      const mine = { ...newJob, clientId: 'mine' };
      const answers = await Promise.all(Array.from({ length: 20 }, () => createJob(sql, mine, anonymous, 100)));
      expect(new Set(answers.map(({ row }) => row.id)).size).toBe(1);
      expect(answers.filter(({ replayed }) => !replayed)).toHaveLength(1);
    }));

  test('limits hold exactly under concurrency, and errors say when to retry', () =>
    withSql(async (sql) => {
      const caller = await addKey(sql, 'limited', { queuedJobs: 3 });
      const answers = await Promise.allSettled(Array.from({ length: 10 }, () => createJob(sql, newJob, caller, 1000)));
      expect(answers.filter(({ status }) => status === 'fulfilled')).toHaveLength(3);
      await expect(createJob(sql, newJob, caller, 1000)).rejects.toMatchObject({
        code: Status.RESOURCE_EXHAUSTED,
        reason: 'QUEUE_FULL',
        message: 'The queue is full: 3 jobs of this key wait (limit 3); try again later',
        retryAfterSeconds: 10,
      });
      await expect(createJob(sql, newJob, anonymous, 3)).rejects.toMatchObject({ reason: 'QUEUE_FULL' });
      await claim(sql);
      await create(sql, {}, caller);
    }));
});

describe('creating at the same time', () => {
  test.each([1, 4])('the queue is filled exactly to its limit, by %i keys', (count) =>
    withSql(async (sql) => {
      const callers = await Promise.all(Array.from({ length: count }, (_, index) => addKey(sql, `key ${index}`, {})));
      const answers = await Promise.allSettled(
        Array.from({ length: 40 }, (_, index) => createJob(sql, newJob, callers[index % count]!, 20)),
      );
      expect(answers.filter(({ status }) => status === 'fulfilled')).toHaveLength(20);
    }),
  );

  test('nothing is created for a caller that has given up; before the commit, the id is announced', () =>
    withSql(async (sql) => {
      const gone = new AbortController();
      const created = createJob(sql, newJob, anonymous, 9, { signal: gone.signal });
      gone.abort();
      await expect(created).rejects.toMatchObject({ name: 'AbortError' });
      const late = new AbortController();
      const told: string[] = [];
      const { row } = await createJob(sql, newJob, anonymous, 9, {
        signal: late.signal,
        onCommit(id) {
          told.push(id);
          late.abort();
        },
      });
      expect(told).toEqual([row.id]);
      expect(await sql`select id from jobs`).toEqual([{ id: row.id }]);
    }));
});

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
      expect(next.results).toEqual(new Map([['text-encoder', { key: 'r', bytes: 5, sha256: 'cd' }]]));
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

describe('cancelling', () => {
  test('works in every state but once', () =>
    withSql(async (sql) => {
      const waiting = await create(sql);
      expect(await cancelJob(sql, waiting, anonymous)).toMatchObject({
        row: { state: 'cancelled', revision: 2, finishedAt: expect.any(Date) },
        cancelled: true,
        owned: false,
      });
      expect(await cancelJob(sql, waiting, anonymous)).toMatchObject({ row: { revision: 2 }, cancelled: false });
      expect(await claim(sql)).toBeUndefined();
      const running = await create(sql);
      await claim(sql);
      expect(await cancelJob(sql, running, anonymous)).toMatchObject({ cancelled: true, owned: true });
      const done = await create(sql);
      await ledgerOf(sql, await claimed(sql)).finish({ state: 'succeeded', files: {}, frameFiles: [], frames: 1 });
      expect(await cancelJob(sql, done, anonymous)).toMatchObject({ row: { state: 'succeeded' }, cancelled: false });
      expect(await sql`select queued, running from key_loads`).toEqual([{ queued: 0, running: 0 }]);
    }));

  test("by key ends only that key's jobs, and a revoked key cannot create more", () =>
    withSql(async (sql) => {
      const [one, other] = [await addKey(sql, 'one', {}), await addKey(sql, 'other', {})];
      const running = await create(sql, {}, one);
      await claim(sql);
      const waiting = await create(sql, {}, one);
      const kept = await create(sql, {}, other);
      await sql`update api_keys set revoked_at = now() where id = 'one'`;
      expect(await cancelJobsOfKey(sql, 'one')).toBe(2);
      const states = (await listJobs(sql, { limit: 9 }, { ...one, scopes: ['admin'] })).map(({ id, state }) => [
        id,
        state,
      ]);
      expect(Object.fromEntries(states)).toEqual({ [running]: 'cancelled', [waiting]: 'cancelled', [kept]: 'queued' });
      await expect(create(sql, {}, one)).rejects.toMatchObject({ code: Status.UNAUTHENTICATED });
    }));

  test('every end of a job with a webhook schedules one delivery', () =>
    withSql(async (sql) => {
      const webhook = { url: 'http://x/', secret: 's' };
      const ids = [await create(sql, { webhook }), await create(sql, { webhook }), await create(sql)];
      await cancelJob(sql, ids[0]!, anonymous);
      await ledgerOf(sql, await claimed(sql)).finish({ state: 'failed', failure });
      await cancelJob(sql, ids[2]!, anonymous);
      const rows = await sql<{ jobId: string }[]>`select job_id as "jobId" from webhook_deliveries order by created_at`;
      expect(rows.map(({ jobId }) => jobId)).toEqual(ids.slice(0, 2));
    }));
});

test('a caller sees the jobs of its own key, an administrator all of them', () =>
  withSql(async (sql) => {
    const [one, other] = [await addKey(sql, 'one', {}), await addKey(sql, 'other', {})];
    const admin: Caller = { ...other, scopes: ['admin'] };
    const id = await create(sql, {}, one);
    expect(await readJob(sql, id, other)).toBeUndefined();
    expect(await listJobs(sql, { limit: 9 }, other)).toEqual([]);
    expect(await cancelJob(sql, id, other)).toBeUndefined();
    expect(await markDeleted(sql, id, other)).toBe(false);
    expect((await listJobs(sql, { limit: 9 }, admin)).map((row) => row.id)).toEqual([id]);
    expect(await cancelJob(sql, id, admin)).toMatchObject({ cancelled: true });
  }));

test('pages go both ways, newest first', () =>
  withSql(async (sql) => {
    const ids: string[] = [];
    for (let count = 0; count < 5; count++) {
      ids.unshift(await create(sql));
    }
    await cancelJob(sql, ids[1]!, anonymous);
    const all = await listJobs(sql, { limit: 9 }, anonymous);
    expect(all.map(({ id }) => id)).toEqual(ids);
    const { sequence } = all[2]!;
    const page = async (options: object) =>
      (await listJobs(sql, { limit: 1, ...options }, anonymous)).map(({ id }) => id);
    expect(await page({ before: sequence })).toEqual([ids[3]]);
    expect(await page({ after: sequence })).toEqual([ids[1]]);
    expect(await page({ after: all[4]!.sequence, before: all[1]!.sequence })).toEqual([ids[2]]);
    expect(await page({ state: 'cancelled' })).toEqual([ids[1]]);
  }));

describe('retention', () => {
  const succeeded = { state: 'succeeded', files: {}, frameFiles: [], frames: 1 } as const;

  test('hides expired jobs, then removes them with everything that belongs to them', () =>
    withSql(async (sql) => {
      const [old, young] = [await create(sql), await create(sql)];
      await cancelJob(sql, old, anonymous);
      await cancelJob(sql, young, anonymous);
      const waiting = await create(sql);
      await sql`update jobs set finished_at = now() - interval '2 hours' where id = ${old}`;
      await markExpired(sql, { keepSeconds: 3600, keepCount: 2 });
      expect(await hiddenJobs(sql)).toEqual([old]);
      expect((await listJobs(sql, { limit: 9 }, anonymous)).map(({ id }) => id)).toEqual([waiting, young]);
      await removeRow(sql, old);
      expect(await sql`select 1 from job_events where job_id = ${old}`).toEqual([]);
      await removeRow(sql, waiting);
      expect(await readJob(sql, waiting, anonymous)).toBeDefined();
    }));

  test("counts each key's videos alone, and what ended without one apart", () =>
    withSql(async (sql) => {
      const [one, other] = [await addKey(sql, 'one', {}), await addKey(sql, 'other', {})];
      const make = async (caller: Caller) => {
        const id = await create(sql, {}, caller);
        await ledgerOf(sql, await claimed(sql)).finish(succeeded);
        return id;
      };
      const cancelled = async (caller: Caller) => {
        const id = await create(sql, {}, caller);
        await cancelJob(sql, id, caller);
        return id;
      };
      const ofOther = await make(other);
      const ofOne = [await make(one), await make(one), await make(one)];
      const withoutFiles = [await cancelled(one), await cancelled(one), await cancelled(one), await cancelled(one)];
      const retention = { keepSeconds: 3600, keepCount: 2 };
      await markExpired(sql, retention);
      expect(await hiddenJobs(sql)).toEqual([]);

      const expiry = async (id: string) => toJob((await readJob(sql, id, { ...one, scopes: ['admin'] }))!, 3600);
      const soon = Date.now() + 61_000;
      for (const id of [ofOne[0]!, withoutFiles[0]!, withoutFiles[1]!]) {
        expect((await expiry(id)).expiresAt!.getTime()).toBeLessThan(soon);
      }
      for (const id of [ofOther, ofOne[1]!, ofOne[2]!, withoutFiles[2]!, withoutFiles[3]!]) {
        const { expiresAt, finishedAt } = await expiry(id);
        expect(expiresAt!.getTime() - finishedAt!.getTime()).toBe(3600_000);
      }
      // Not a moment before it was said.
      await markExpired(sql, retention);
      expect(await hiddenJobs(sql)).toEqual([]);
      await sql`update jobs set expires_at = now() - interval '1 second' where expires_at is not null`;
      await markExpired(sql, retention);
      expect((await hiddenJobs(sql)).sort()).toEqual([ofOne[0], withoutFiles[0], withoutFiles[1]].sort());
    }));
});
