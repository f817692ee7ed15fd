import { afterAll, describe, expect, test } from '@jest/globals';
import type { Sql } from 'postgres';
import { anonymous, type Caller } from '../../keys/caller.ts';
import type { JobModel } from '../../models/model-route.ts';
import { stopTestServer, withData } from '../../testing/data.ts';
import { newJob } from '../../testing/new-job.ts';
import { type FairJob, type FairKey, FairQueue } from '../queue/fair-queue.ts';
import { createJob, type StorableJob } from './create-job.ts';
import { cancelJob } from './end-job.ts';
import { claimJob } from './leases.ts';

afterAll(stopTestServer);

const withSql = (use: (sql: Sql) => Promise<void>) => withData(({ database }) => use(database.sql));

async function addKey(sql: Sql, id: string, share = 1, concurrentJobs = 0): Promise<Caller> {
  await sql`
    insert into api_keys (id, name, secret_hash, scopes, concurrent_jobs, share)
    values (${id}, ${id}, ${Buffer.from('')}, ${['create', 'read']}, ${concurrentJobs}, ${share})`;
  return { ...anonymous, keyId: id };
}

async function create(sql: Sql, caller: Caller, job: Partial<StorableJob> = {}): Promise<string> {
  return (await createJob(sql, { ...newJob, ...job }, caller, 100_000)).row.id;
}

async function createMany(sql: Sql, caller: Caller, count: number, job: Partial<StorableJob> = {}): Promise<void> {
  for (let index = 0; index < count; index++) {
    await create(sql, caller, job);
  }
}

/** Claims `count` jobs of a model, ending each at once; returns their keys in order. */
async function serve(sql: Sql, count: number, model: JobModel = newJob): Promise<string[]> {
  const served: string[] = [];
  while (served.length < count) {
    const job = await claimJob(sql, { owner: 'me', running: [], models: [model], take: 'waiting' });
    if (!job) {
      break;
    }
    served.push(job.row.keyId);
    await cancelJob(sql, job.row.id, anonymous);
  }
  return served;
}

const countOf = (keys: readonly string[], key: string) => keys.filter((each) => each === key).length;

describe('keys share the mesh', () => {
  test('in proportion to their shares, regardless of who queued first or more', () =>
    withSql(async (sql) => {
      const [small, large] = [await addKey(sql, 'small'), await addKey(sql, 'large', 3)];
      await createMany(sql, small, 40);
      await createMany(sql, large, 35);
      const served = await serve(sql, 40);
      expect(countOf(served, 'large')).toBeGreaterThanOrEqual(29);
      expect(countOf(served, 'large')).toBeLessThanOrEqual(31);
      // In small portions, too.
      for (let start = 0; start < served.length; start += 8) {
        expect(countOf(served.slice(start, start + 8), 'small')).toBeGreaterThanOrEqual(1);
      }
    }));

  test('by work, not by number of jobs', () =>
    withSql(async (sql) => {
      const [long, short] = [await addKey(sql, 'long'), await addKey(sql, 'short')];
      await createMany(sql, long, 15, { work: 4 });
      await createMany(sql, short, 25, { work: 1 });
      const served = await serve(sql, 25);
      expect(countOf(served, 'short')).toBeGreaterThanOrEqual(19);
      expect(countOf(served, 'short')).toBeLessThanOrEqual(21);
    }));

  test('and a new key is served next, without credit for the time before', () =>
    withSql(async (sql) => {
      const [old, late] = [await addKey(sql, 'old'), await addKey(sql, 'late')];
      await createMany(sql, old, 30);
      await serve(sql, 10);
      await createMany(sql, late, 20);
      const served = await serve(sql, 20);
      expect(served.slice(0, 2)).toContain('late');
      expect(Math.abs(countOf(served, 'late') - 10)).toBeLessThanOrEqual(1);
    }));

  test('of each model, whatever is done with a faster one', () =>
    withSql(async (sql) => {
      const [fast, slow] = ['fast', 'slow'].map((model) => ({ model, version: '1', work: 10 }));
      const [busy, old, late] = [await addKey(sql, 'busy'), await addKey(sql, 'old'), await addKey(sql, 'late', 9)];
      await createMany(sql, busy, 60, fast!);
      await createMany(sql, old, 24, slow!);
      const served: string[] = [];
      for (let turn = 0; turn < 22; turn++) {
        if (turn === 2) {
          await createMany(sql, late, 20, slow!);
        }
        await serve(sql, turn % 2 === 0 ? 2 : 1, fast);
        served.push(...(await serve(sql, 1, slow)));
      }
      expect(served.indexOf('late')).toBeLessThanOrEqual(3);
      expect(countOf(served.slice(2), 'late')).toBeGreaterThanOrEqual(18);
      // What was done with the fast model does not count against a key's work with the slow one.
      await createMany(sql, busy, 5, slow!);
      expect(countOf(await serve(sql, 6, slow), 'busy')).toBeGreaterThanOrEqual(1);
    }));

  test('and a key at its limit of running jobs does not hold up others', () =>
    withSql(async (sql) => {
      const [limited, other] = [await addKey(sql, 'limited', 1000, 1), await addKey(sql, 'other')];
      await createMany(sql, limited, 3);
      await createMany(sql, other, 3);
      const claims = [];
      for (let count = 0; count < 5; count++) {
        claims.push((await claimJob(sql, { owner: 'me', running: [], models: [newJob], take: 'waiting' }))?.row.keyId);
      }
      expect(claims.sort()).toEqual(['limited', 'other', 'other', 'other', undefined]);
    }));
});

test('the database and the forecast agree on the order, with two models', () =>
  withSql(async (sql) => {
    const shares = { one: 1, two: 2, seven: 7 };
    const models = [newJob, { model: 'other', version: '2' }];
    const keys: FairKey[] = [];
    const callers = [];
    for (const [id, share] of Object.entries(shares)) {
      callers.push(await addKey(sql, id, share));
      keys.push({ id, share, concurrentJobs: 0, running: 0, virtualStarts: {} });
    }
    const queue = new FairQueue<FairJob & { id: string }>(keys);
    for (let index = 0; index < 45; index++) {
      const { model, version } = models[index % 4 === 3 ? 1 : 0]!;
      const job = { model, version, priority: (index * 5) % 3, work: 1 + ((index * 7) % 4) };
      const { row } = await createJob(sql, { ...newJob, ...job }, callers[(index * index) % 3]!, 100);
      queue.add({ id: row.id, keyId: row.keyId, sequence: Number(row.sequence), ...job });
    }
    for (let index = 0; index < 45; index++) {
      expect(await claim(sql, models)).toBe(queue.start()?.id);
    }
  }));

test('a priority overtakes at most ten earlier jobs per level', () =>
  withSql(async (sql) => {
    const caller = await addKey(sql, 'one');
    const first = await create(sql, caller);
    const laterIds = [];
    for (let index = 0; index < 12; index++) {
      laterIds.push(await create(sql, caller, { priority: 1 }));
    }
    const order: string[] = [];
    for (let job = await claim(sql); job !== undefined; job = await claim(sql)) {
      order.push(job);
    }
    expect(order.indexOf(first)).toBe(9);
    expect(order.filter((id) => id !== first)).toEqual(laterIds);
  }));

async function claim(sql: Sql, models: readonly JobModel[] = [newJob]): Promise<string | undefined> {
  return (await claimJob(sql, { owner: 'me', running: [], models, take: 'waiting' }))?.row.id;
}
