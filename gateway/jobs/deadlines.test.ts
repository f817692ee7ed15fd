import { afterAll, expect, test } from '@jest/globals';
import { Status } from 'nice-grpc-common';
import { FusionError } from '../../services/kit/errors.ts';
import { createLogger } from '../../services/kit/log.ts';
import { loadPreset } from '../../services/pipeline/preset.ts';
import { transact } from '../database/transact.ts';
import { anonymous } from '../keys/caller.ts';
import { singleRoute } from '../models/model-route.ts';
import { Models } from '../models/models.ts';
import { stopTestServer } from '../testing/data.ts';
import { newJob } from '../testing/new-job.ts';
import { Deadlines } from './deadlines.ts';
import { type FindPlaces, QueuePlaces } from './queue/queue-places.ts';
import { createJob } from './store/create-job.ts';
import { failOverdueJobs } from './store/end-job.ts';
import { noteGateway, readPlaces } from './store/gateways.ts';
import { claimed, create, failure, ledgerOf, stage, withSql } from './store/testing.ts';

afterAll(stopTestServer);

const log = createLogger('test', 'silent');
const inSeconds = (seconds: number) => new Date(Date.now() + 1000 * seconds);

/** The refusal of a deadline while a new video would be ready in 100 s. */
async function refusalOf(deadline: Date | undefined, skewSeconds = 0) {
  const place = { position: 3, readyAt: inSeconds(100 + skewSeconds) };
  const places = { ofNew: async () => async () => ({ places: [place], now: Date.now() + 1000 * skewSeconds }) };
  const deadlines = new Deadlines({ places, log, sql: undefined as never, objects: undefined as never });
  const judge = await deadlines.judgeOf([{ ...newJob, deadline }], '');
  return (await judge?.(undefined as never))?.[0];
}

test('a deadline is refused if it is past, or much too early', async () => {
  expect(await refusalOf(inSeconds(-1))).toMatchObject({ code: Status.INVALID_ARGUMENT, field: 'deadline' });
  const hopeless = await refusalOf(inSeconds(10));
  expect(hopeless).toMatchObject({
    code: Status.FAILED_PRECONDITION,
    reason: 'DEADLINE_HOPELESS',
    field: 'deadline',
    message: expect.stringMatching(
      /^`deadline` cannot be met: 2 jobs start before this one, which would be ready at about /,
    ),
  });
  for (const deadline of [inSeconds(70), inSeconds(200), undefined]) {
    expect(await refusalOf(deadline)).toBeUndefined();
  }
  // The database's clock counts, however wrong this machine's is.
  for (const skew of [3600, -3600]) {
    expect(await refusalOf(inSeconds(skew - 1), skew)).toMatchObject({ reason: 'INVALID_FIELD' });
    expect(await refusalOf(inSeconds(skew + 10), skew)).toMatchObject({ reason: 'DEADLINE_HOPELESS' });
    expect(await refusalOf(inSeconds(skew + 70), skew)).toBeUndefined();
  }
});

test('a request that is repeated after its deadline returns its job', () =>
  withSql(async (sql) => {
    const job = { ...newJob, clientId: 'mine' };
    const first = await createJob(sql, job, anonymous, 9);
    const refusal = new FusionError(Status.INVALID_ARGUMENT, 'past');
    expect(await createJob(sql, job, anonymous, 9, { judge: async () => [refusal] })).toMatchObject({
      row: { id: first.row.id },
      replayed: true,
    });
    await expect(createJob(sql, newJob, anonymous, 9, { judge: async () => [refusal] })).rejects.toBe(refusal);
  }));

test('overdue jobs fail once, saying what they were doing', () =>
  withSql(async (sql) => {
    const deadline = inSeconds(-1);
    const runs = await create(sql, { deadline, webhook: { url: 'http://x', secret: 's' } });
    const job = await claimed(sql);
    const ledger = ledgerOf(sql, job);
    ledger.change('progress', { stages: [stage(4)] });
    await ledger.settled();
    const queued = await create(sql, { deadline });
    const inTime = await create(sql, { deadline: inSeconds(60) });
    const [first, ...others] = (await Promise.all([failOverdueJobs(sql), failOverdueJobs(sql)]))
      .flat()
      .sort((a, b) => a.row.sequence - b.row.sequence);
    expect(others.map(({ row, owned }) => [row.id, owned])).toEqual([[queued, false]]);
    expect(first).toMatchObject({
      owned: true,
      row: { id: runs, state: 'failed' },
      failure: {
        code: 'DEADLINE_EXCEEDED',
        reason: 'DEADLINE_MISSED',
        stage: 'keyframes',
        message: `The deadline ${deadline.toISOString()} passed while the job was in the stage keyframes, at 4 of 9`,
      },
    });
    expect(others[0]!.failure.message).toBe(`The deadline ${deadline.toISOString()} passed while the job was queued`);
    await expect(ledger.finish({ state: 'failed', failure })).rejects.toThrow(/belongs to another worker or has ended/);
    const kinds = await sql<{ state: string }[]>`
      select snapshot->>'state' as state from job_events where job_id = ${runs} order by number`;
    expect(kinds.map(({ state }) => state)).toEqual(['queued', 'running', 'running', 'failed']);
    expect(await sql`select 1 from webhook_deliveries where job_id = ${runs}`).toHaveLength(1);
    expect((await claimed(sql)).row.id).toBe(inTime);
  }));

test('jobs get their places from the database, however they were accepted', () =>
  withSql(async (sql) => {
    const models = new Models([singleRoute({ preset: loadPreset('nano'), stageAddresses: {} as never, warnings: [] })]);
    await create(sql);
    const done = await claimed(sql);
    const ledger = ledgerOf(sql, done);
    const stages = [{ stage: 'keyframes' as const, step: 3, total: 3, seconds: 20 }];
    ledger.change('progress', { stages });
    await ledger.finish({ state: 'succeeded', files: {}, frameFiles: [], frames: 15 });
    await noteGateway(sql, 'gateway', 'me', 1);
    const places = new QueuePlaces({ sql, models, concurrentJobs: 1, log });
    const { keyId } = anonymous;
    const placeOfNew = async (find: FindPlaces) => (await transact(sql, find))!.places[0]!;
    const findPlaces = await places.ofNew([{ ...newJob, keyId }]);
    const expected = await placeOfNew(findPlaces);
    expect(expected.position).toBe(1);
    expect(expected.readyAt!.getTime() - expected.startsAt!.getTime()).toBeGreaterThan(19_000);

    const ids = [await create(sql), await create(sql), await create(sql, { priority: 1 })];
    // Jobs that other gateways accept within the second of a forecast count.
    expect((await placeOfNew(findPlaces)).position).toBe(4);
    await claimed(sql);
    const jobs = await Promise.all(
      ids.map(async (id) => {
        const [row] = await sql<[{ state: string; sequence: number; priority: number }]>`
          select state, sequence, priority from jobs where id = ${id}`;
        const { createdAt } = done.row;
        return { ...newJob, ...row, id, keyId, stages: [], createdAt, startedAt: createdAt } as never;
      }),
    );
    const fresh = new QueuePlaces({ sql, models, concurrentJobs: 1, log });
    const placed = await fresh.addTo(jobs);
    // The one of higher priority was claimed.
    expect(placed.map(({ queue }) => queue?.position)).toEqual([1, 2, 0]);
    const [first, second, running] = placed.map(({ queue }) => queue!.readyAt!.getTime());
    expect(running! < first! && first! < second!).toBe(true);
    // Places at another gateway count, if it is active and alive.
    await noteGateway(sql, 'other', 'other', 3);
    expect(await readPlaces(sql, 9)).toBe(4);
    await sql`update gateways set mode = 'paused' where name = 'other'`;
    expect(await readPlaces(sql, 9)).toBe(1);
    await sql`update gateways set mode = 'draining' where name = 'gateway'`;
    expect(await readPlaces(sql, 9)).toBe(0);
    await sql`update gateways set seen_at = now() - interval '1 minute'`;
    expect(await readPlaces(sql, 9)).toBe(9);
  }));
