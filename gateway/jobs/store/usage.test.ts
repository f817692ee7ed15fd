import { afterAll, expect, test } from '@jest/globals';
import type { Sql } from 'postgres';
import { anonymous, type Caller } from '../../keys/caller.ts';
import { stopTestServer } from '../../testing/data.ts';
import { newJob } from '../../testing/new-job.ts';
import { createJobs } from './create-job.ts';
import { cancelJob } from './end-job.ts';
import { readUsage, type UsageQuery } from './read-usage.ts';
import { removeRow } from './retention.ts';
import { addKey, adopt, claim, claimed, create, expireLease, failure, ledgerOf, withSql } from './testing.ts';

afterAll(stopTestServer);

const all: UsageQuery = { groupBy: 'key', from: new Date(0), to: new Date('3000-01-01'), after: undefined, limit: 100 };
const succeeded = { state: 'succeeded', files: {}, frameFiles: [], frames: 15 } as const;
const keyframes = { stage: 'keyframes', step: 3, total: 3, seconds: 2 } as const;
const text = { stage: 'text-encoder', step: 1, total: 1, seconds: 0.5 } as const;

/** Makes a job that cost 2.5 seconds. */
async function make(sql: Sql, caller: Caller): Promise<string> {
  const id = await create(sql, {}, caller);
  const ledger = ledgerOf(sql, await claimed(sql));
  ledger.change('stage', { stages: [text, keyframes] });
  await ledger.finish(succeeded);
  return id;
}

const setBudgets = (sql: Sql, id: string, budgets: string[]) =>
  sql`update api_keys set budgets = ${budgets} where id = ${id}`;

test('every end of a job leaves one row, which outlives the job and never changes', () =>
  withSql(async (sql) => {
    const one = await addKey(sql, 'one', {});
    const other = await addKey(sql, 'other', {});
    const done = await make(sql, one);
    await create(sql, {}, one);
    await ledgerOf(sql, await claimed(sql)).finish({ state: 'failed', failure });
    const waiting = await create(sql, {}, other);
    await cancelJob(sql, waiting, anonymous);
    await cancelJob(sql, waiting, anonymous);
    await sql`update jobs set deleted_at = now()`;
    await removeRow(sql, done);

    const admin: Caller = { ...other, scopes: ['admin'] };
    const ofOne = {
      group: 'one',
      name: 'one',
      succeeded: 1,
      failed: 1,
      cancelled: 0,
      frames: 15,
      pixels: 15 * 64 * 64,
      seconds: 2.5,
      stageSeconds: { 'text-encoder': 0.5, keyframes: 2 },
      reusedStages: 0,
    };
    const [mine, others] = await readUsage(sql, all, admin);
    expect(mine).toEqual(ofOne);
    expect(others).toMatchObject({ group: 'other', succeeded: 0, cancelled: 1, seconds: 0, stageSeconds: {} });
    expect(await readUsage(sql, all, one)).toEqual([ofOne]);
    expect(await readUsage(sql, { ...all, groupBy: 'preset' }, admin)).toMatchObject([
      { group: 'nano', name: '', succeeded: 1, failed: 1, cancelled: 1, seconds: 2.5 },
    ]);
    const today = new Date().toISOString().slice(0, 10);
    expect(await readUsage(sql, { ...all, groupBy: 'day' }, admin)).toMatchObject([{ group: today, succeeded: 1 }]);
    expect((await readUsage(sql, { ...all, limit: 1 }, admin)).map(({ group }) => group)).toEqual(['one']);
    expect((await readUsage(sql, { ...all, after: 'one' }, admin)).map(({ group }) => group)).toEqual(['other']);
    expect(await readUsage(sql, { ...all, to: new Date(0) }, admin)).toEqual([]);
    expect(await sql`select reason from usage where outcome = 'failed'`).toEqual([{ reason: 'PREDICTION_NOT_FINITE' }]);
    await expect(sql`update usage set seconds = 0`).rejects.toThrow('Rows of usage do not change');
  }));

test('a stage that an attempt did not finish counts, and one that a later attempt did not repeat is reused', () =>
  withSql(async (sql) => {
    const id = await create(sql);
    const first = ledgerOf(sql, await claimed(sql));
    await first.record({ stage: 'text-encoder', key: 'k', bytes: 1, sha256: 'a', seconds: 0.5 }, { stages: [text] });
    first.change('progress', { stages: [text, { ...keyframes, step: 1, seconds: 0.75 }] });
    await first.settled();
    await expireLease(sql, id);
    const second = ledgerOf(sql, (await adopt(sql, 'me'))!);
    expect(second.status).toMatchObject({ reusedStages: 1, lostSeconds: { keyframes: 0.75 } });
    second.change('stage', { stages: [text, keyframes] });
    await second.finish(succeeded);
    expect(await readUsage(sql, all, anonymous)).toMatchObject([
      { group: '', seconds: 3.25, stageSeconds: { 'text-encoder': 0.5, keyframes: 2.75 }, reusedStages: 1 },
    ]);
  }));

test('a budget of videos is never exceeded, however many are created at once', () =>
  withSql(async (sql) => {
    const caller = await addKey(sql, 'one', {});
    await setBudgets(sql, 'one', ['3-videos/day', '100-videos/month']);
    await make(sql, caller);
    const created = await Promise.allSettled(Array.from({ length: 4 }, () => create(sql, {}, caller)));
    const refused = created.flatMap((result) => (result.status === 'rejected' ? [result.reason] : []));
    expect(refused).toHaveLength(2);
    const tomorrow = new Date(new Date().setUTCHours(24, 0, 0, 0));
    for (const error of refused) {
      expect(error).toMatchObject({
        codeName: 'RESOURCE_EXHAUSTED',
        reason: 'BUDGET_USED',
        message: `This API key may use 3 videos a day and has used 3; the budget resets at ${tomorrow.toISOString()}`,
      });
      expect(Math.abs(error.retryAfterSeconds - (tomorrow.getTime() - Date.now()) / 1000)).toBeLessThan(60);
    }
    // A job that fails gives its place back.
    await ledgerOf(sql, await claimed(sql)).finish({ state: 'failed', failure });
    await create(sql, {}, caller);
    await expect(create(sql, {}, caller)).rejects.toMatchObject({ reason: 'BUDGET_USED' });
  }));

test('a batch that a budget cannot take says what is left, and when to retry only if it would fit then', () =>
  withSql(async (sql) => {
    const caller = await addKey(sql, 'one', {});
    await setBudgets(sql, 'one', ['3-videos/day', '100-videos/month']);
    await make(sql, caller);
    const several = (count: number) => createJobs(sql, Array(count).fill(newJob), caller, 100);
    await expect(several(4)).rejects.toMatchObject({
      reason: 'BUDGET_USED',
      message: 'This API key may use 3 videos a day and has used 1, which leaves 2 (4 videos were asked for)',
      retryAfterSeconds: undefined,
    });
    await expect(several(3)).rejects.toMatchObject({
      message: expect.stringMatching(/has used 1, which leaves 2 \(3 videos were asked for\); the budget resets at /),
      retryAfterSeconds: expect.any(Number),
    });
    expect(await several(2)).toHaveLength(2);
  }));

test('a budget of seconds holds back only the queued jobs of its key, until it resets', () =>
  withSql(async (sql) => {
    const [one, other] = [await addKey(sql, 'one', {}), await addKey(sql, 'other', {})];
    await setBudgets(sql, 'one', ['2-seconds/month']);
    const first = await create(sql, {}, one);
    const second = await create(sql, {}, one);
    const ledger = ledgerOf(sql, await claimed(sql));
    ledger.change('stage', { stages: [keyframes] });
    await ledger.finish(succeeded);
    expect(await claim(sql)).toBeUndefined();
    await expect(create(sql, {}, one)).rejects.toMatchObject({
      reason: 'BUDGET_USED',
      message: expect.stringMatching(/2 seconds a month and has used 2; .*-01T00:00:00\.000Z$/),
    });
    const free = await create(sql, {}, other);
    expect((await claimed(sql)).row.id).toBe(free);
    await sql`update usage_days set day = day - 31`;
    expect((await claimed(sql)).row.id).toBe(second);
    expect(first).not.toBe(second);
  }));
