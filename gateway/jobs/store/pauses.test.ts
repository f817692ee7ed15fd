import { afterAll, expect, test } from '@jest/globals';
import type { Sql } from 'postgres';
import { loadPreset } from '../../../services/pipeline/preset.ts';
import { anonymous } from '../../keys/caller.ts';
import { stopTestServer } from '../../testing/data.ts';
import { Forecast } from '../queue/forecast.ts';
import { cancelJob } from './end-job.ts';
import { noteGateway } from './gateways.ts';
import type { JobLedger } from './job-ledger.ts';
import { readQueue } from './read-queue.ts';
import { startPause } from './start-pause.ts';
import { addKey, claim, claimed, create, ledgerOf, stage, withSql } from './testing.ts';

afterAll(stopTestServer);

const forever = new AbortController().signal;

/** A job that has recorded a checkpoint and runs, and one with a higher priority that waits. */
async function twoJobs(sql: Sql) {
  const low = await create(sql);
  const ledger = ledgerOf(sql, await claimed(sql));
  ledger.change('progress', { stages: [{ ...stage(5), seconds: 7 }] });
  await ledger.settled();
  const checkpoint = { stage: 'keyframes', step: 4, run: 'run', key: 'k', bytes: 7, sha256: 'ab', seconds: 6 };
  expect(await ledger.recordCheckpoint(checkpoint, forever)).toBe(true);
  const high = await create(sql, { priority: 5 });
  return { low, high, ledger, checkpoint };
}

async function pause(sql: Sql, job: string, other: string, ledger: JobLedger): Promise<void> {
  expect(await startPause(sql, 'me', { job, for: other })).toBe(true);
  expect(await ledger.mustPause()).toBe(true);
  await ledger.pause();
}

test('a paused job lets the other one go first and continues in the same attempt, charged once', () =>
  withSql(async (sql) => {
    const { low, high, ledger, checkpoint } = await twoJobs(sql);
    const loads = () => sql`select queued, running, (select virtual_start from fair_starts) as start from key_loads`;
    const [before] = await loads();
    await pause(sql, low, high, ledger);
    expect(await loads()).toEqual([{ queued: 2, running: 0, start: before!.start }]);
    const { heads } = await readQueue(sql, 1);
    expect(heads.map(({ id, paidAt, stages }) => [id, paidAt, stages?.length])).toEqual([
      [high, null, 0],
      [low, 0, 1],
    ]);

    expect((await claim(sql))?.row.id).toBe(high);
    const [charged] = await loads();
    const again = await claimed(sql);
    expect(again).toMatchObject({ checkpoint, row: { id: low, attempt: 1, pauses: 1, state: 'running' } });
    // The step after the checkpoint is repeated, and its second counts twice.
    expect(again.row.stages).toEqual([{ stage: 'keyframes', step: 4, total: 9, seconds: 6 }]);
    expect(again.row.lostSeconds).toEqual({ keyframes: 1 });
    expect(await loads()).toEqual([{ ...charged, queued: 0, running: 2 }]);
    const events = await sql`select snapshot->>'state' as state, snapshot->'pauses' as pauses from job_events
      where job_id = ${low} and kind = 'state' order by number`;
    expect(events.map(({ state, pauses }) => `${state} ${pauses}`)).toEqual([
      'queued 0',
      'running 0',
      'queued 1',
      'running 1',
    ]);
  }));

test('a job does not pause for one that no longer waits, nor two for the same', () =>
  withSql(async (sql) => {
    const { low, high, ledger } = await twoJobs(sql);
    const third = ledgerOf(sql, await claimed(sql, 'me'));
    expect(third.status.state).toBe('running');
    // The second claim took the one with the priority.
    expect(await startPause(sql, 'me', { job: low, for: high })).toBe(false);
    const other = await create(sql, { priority: 9 });
    expect(await startPause(sql, 'another', { job: low, for: other })).toBe(false);
    expect(await startPause(sql, 'me', { job: low, for: other })).toBe(true);
    expect(await startPause(sql, 'me', { job: high, for: other })).toBe(false);
    await cancelJob(sql, other, anonymous);
    expect(await ledger.mustPause()).toBe(false);
    expect(await sql`select id from jobs where pause_for is not null`).toHaveLength(0);
  }));

test('a paused job does not wait for one that cannot start', () =>
  withSql(async (sql) => {
    const { low, high, ledger } = await twoJobs(sql);
    await pause(sql, low, high, ledger);
    await sql`update jobs set model = 'unserved' where id = ${high}`;
    expect(await claim(sql)).toBeUndefined();
    await sql`update jobs set paused_at = now() - interval '6 seconds' where id = ${low}`;
    expect((await claim(sql))?.row.id).toBe(low);
  }));

test('a claim reads no more jobs the more are queued', () =>
  withSql(async (sql) => {
    await create(sql);
    await sql`
      insert into jobs (id, key_id, client_id, fingerprint, model, state, priority, settings, previews, warnings)
      select 'job' || n, '', '', '', 'nano', 'queued', 0, '{}', false, '[]' from generate_series(1, 1000) as n`;
    await sql`analyze jobs`;
    const scans = async () => {
      await sql`select pg_stat_force_next_flush()`;
      const [row] = await sql<[{ read: number }]>`
        select coalesce(sum(seq_tup_read), 0)::int as read from pg_stat_user_tables where relname = 'jobs'`;
      return row.read;
    };
    const before = await scans();
    await claimed(sql);
    expect((await scans()) - before).toBe(0);
  }));

test('the forecast counts what a paused job has done', () =>
  withSql(async (sql) => {
    const { low, high, ledger } = await twoJobs(sql);
    await pause(sql, low, high, ledger);
    const queue = await readQueue(sql, 1);
    const stages = [
      { stage: 'text-encoder' as const, step: 1, total: 1, seconds: 1 },
      { stage: 'keyframes' as const, step: 3, total: 3, seconds: 9 },
      { stage: 'decoder' as const, step: 15, total: 15, seconds: 1 },
    ];
    const [first, last] = queue.heads as [(typeof queue.heads)[0], (typeof queue.heads)[0]];
    const finished = [{ model: 'nano', version: '', settings: first.settings, stages, seconds: 11 }];
    const done = [stages[0]!, { ...stages[1]!, step: 2, seconds: 6 }];
    const heads = [first, { ...last, stages: done }];
    const forecast = new Forecast({ ...queue, heads, finished }, () => loadPreset('nano'));
    const seconds = heads.map((job) => {
      const { position, startsAt, readyAt } = forecast.placeOf(job);
      return [position, Math.round((readyAt!.getTime() - startsAt!.getTime()) / 1000)];
    });
    expect(seconds).toEqual([
      [1, 11],
      [2, 4],
    ]);
  }));

test('of two gateways one pauses a job for another key, and the other continues it', () =>
  withSql(async (sql) => {
    const [rich, poor] = [await addKey(sql, 'rich', {}), await addKey(sql, 'poor', {})];
    await noteGateway(sql, 'first', 'one', 1);
    await noteGateway(sql, 'second', 'two', 1);
    // A finished video shows how long one takes.
    await create(sql, {}, rich);
    const example = ledgerOf(sql, await claimed(sql, 'one'), 'one');
    example.change('progress', { stages: [{ ...stage(9), seconds: 90 }] });
    await example.finish({ state: 'succeeded', files: {}, frameFiles: [], frames: 15 });

    const owners = ['one', 'two'] as const;
    const running = [];
    for (const owner of owners) {
      await create(sql, {}, rich);
      const job = await claimed(sql, owner);
      const ledger = ledgerOf(sql, job, owner);
      ledger.change('progress', { stages: [{ ...stage(5), seconds: 50 }] });
      await ledger.settled();
      const checkpoint = { stage: 'keyframes', step: 4, run: 'run', key: 'k', bytes: 7, sha256: 'ab', seconds: 40 };
      await ledger.recordCheckpoint(checkpoint, forever);
      running.push({ owner, id: job.row.id, ledger });
    }
    await sql`update jobs set claimed_at = now() - interval '1 minute' where state = 'running'`;
    const waiting = await create(sql, {}, poor);

    const pausesOf = async (id: string, seconds = 20) =>
      new Forecast(await readQueue(sql, 1), () => loadPreset('nano')).pauses(new Set([id]), seconds);
    expect(await pausesOf(running[0]!.id, 3600)).toEqual([]);
    // Both choose their own job at the same moment, and one of them may.
    const wanted = await Promise.all(running.map(({ id }) => pausesOf(id)));
    expect(wanted).toEqual(running.map(({ id }) => [{ job: id, for: waiting }]));
    const begun = await Promise.all(running.map(({ owner, id }) => startPause(sql, owner, { job: id, for: waiting })));
    expect(begun.sort()).toEqual([false, true]);
    const [[{ id: chosen }]] = [await sql<[{ id: string }]>`select id from jobs where pause_for is not null`];
    const paused = running.find(({ id }) => id === chosen)!;
    const other = running.find(({ id }) => id !== chosen)!;
    expect(await pausesOf(other.id)).toEqual([]);
    expect(await paused.ledger.mustPause()).toBe(true);
    await paused.ledger.pause();

    const next = await claimed(sql, paused.owner);
    expect(next.row).toMatchObject({ id: waiting, keyId: 'poor', attempt: 1 });
    // The exchange is not undone: now each key has a place.
    await sql`update jobs set claimed_at = now() - interval '1 minute' where state = 'running'`;
    expect([await pausesOf(waiting), await pausesOf(other.id)]).toEqual([[], []]);
    await other.ledger.finish({ state: 'succeeded', files: {}, frameFiles: [], frames: 15 });
    const again = await claimed(sql, other.owner);
    expect(again).toMatchObject({ row: { id: chosen, attempt: 1, pauses: 1 }, checkpoint: { step: 4 } });
    await ledgerOf(sql, again, other.owner).finish({ state: 'succeeded', files: {}, frameFiles: [], frames: 15 });
    expect(await sql`select key_id, queued, running from key_loads order by key_id`).toEqual([
      { key_id: 'poor', queued: 0, running: 1 },
      { key_id: 'rich', queued: 0, running: 0 },
    ]);
  }));
