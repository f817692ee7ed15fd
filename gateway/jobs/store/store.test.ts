import { afterAll, describe, expect, test } from '@jest/globals';
import { Status } from 'nice-grpc-common';
import { anonymous, type Caller } from '../../keys/caller.ts';
import { stopTestServer, withData } from '../../testing/data.ts';
import { newJob } from '../../testing/new-job.ts';
import { createJob, createJobs } from './create-job.ts';
import { cancelJob, cancelJobsOfKey } from './end-job.ts';
import { toJob } from './job-rows.ts';
import { listJobs, readEvents, readJob } from './read-jobs.ts';
import { hiddenJobs, markDeleted, markExpired, removeRow } from './retention.ts';
import { addKey, claim, claimed, create, failure, ledgerOf, withSql } from './testing.ts';

afterAll(stopTestServer);

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
      const { work, frames, deadline, refusal, requiredLevel, ...rest } = job;
      const { fingerprint, isPriorityGiven, continues, otherClientId, picture, ...told } = rest;
      expect(row).toMatchObject({
        ...told,
        picture: picture ?? null,
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
      // More at once than there is ever room for.
      await expect(createJobs(sql, Array(4).fill(newJob), anonymous, 3)).rejects.toMatchObject({
        message: 'The queue has no room for 4 more jobs: 3 jobs wait (limit 3)',
        retryAfterSeconds: undefined,
      });
      const known = { ...newJob, clientId: 'known' };
      const { row } = await createJob(sql, known, anonymous, 4);
      // Of a repeated request, only what does not exist yet needs room.
      expect(await createJobs(sql, [known, { ...newJob, clientId: 'new' }], anonymous, 5)).toMatchObject([
        { row: { id: row.id }, replayed: true },
        { replayed: false },
      ]);
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
        onCommit(ids) {
          told.push(...ids);
          late.abort();
        },
      });
      expect(told).toEqual([row.id]);
      expect(await sql`select id from jobs`).toEqual([{ id: row.id }]);
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

  test("by key ends only that key's jobs and removes their files; a revoked key cannot create more", () =>
    withData(async ({ database: { sql }, objects, objectKeys }) => {
      const [one, other] = [await addKey(sql, 'one', {}), await addKey(sql, 'other', {})];
      const running = await create(sql, {}, one);
      await claim(sql);
      const waiting = await create(sql, {}, one);
      const kept = await create(sql, {}, other);
      await sql`update api_keys set revoked_at = now() where id = 'one'`;
      for (const id of [running, waiting, kept]) {
        await objects.put(`${id}/results/1`, Buffer.from('x'), { mediaType: 'text/plain' });
      }
      expect(await cancelJobsOfKey(sql, objects, 'one')).toBe(2);
      // The gateway that works on a job removes its files itself.
      expect((await objectKeys()).sort()).toEqual([`${running}/results/1`, `${kept}/results/1`].sort());
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
    expect(await page({ filter: { states: ['cancelled'] } })).toEqual([ids[1]]);
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

  test("counts each key's videos, and separately its jobs without one", () =>
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
      // Not before the announced time.
      await markExpired(sql, retention);
      expect(await hiddenJobs(sql)).toEqual([]);
      await sql`update jobs set expires_at = now() - interval '1 second' where expires_at is not null`;
      await markExpired(sql, retention);
      expect((await hiddenJobs(sql)).sort()).toEqual([ofOne[0], withoutFiles[0], withoutFiles[1]].sort());
    }));
});
