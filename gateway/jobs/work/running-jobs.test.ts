import { expect, test } from '@jest/globals';
import { deferred } from '../../../services/kit/deferred.ts';
import { type AttemptTools, RunningJobs } from './running-jobs.ts';

const job = { id: 'job', model: 'nano', version: '' };

test('an attempt that ends late does not affect its successor', async () => {
  const jobs = new RunningJobs();
  const [older, newer] = [deferred<void>(), deferred<void>()];
  const signals: AbortSignal[] = [];
  const work =
    (end: Promise<void>) =>
    ({ lost }: AttemptTools) => {
      signals.push(lost.signal);
      return end;
    };
  void jobs.begin({ ...job, attempt: 1 }, work(older.promise));
  const ended = jobs.begin({ ...job, attempt: 2 }, work(newer.promise));
  expect(signals.map(({ aborted }) => aborted)).toEqual([true, false]);
  older.resolve();
  await older.promise;
  await Promise.resolve();
  expect(jobs.ids).toEqual(['job']);
  jobs.snapshot()(new Map([['job', 2]]));
  expect(signals[1]!.aborted).toBe(false);
  jobs.lose('job');
  expect(signals[1]!.aborted).toBe(true);
  newer.resolve();
  await ended;
  expect(jobs.ids).toEqual([]);
});

test('the end of a replaced attempt is awaited', async () => {
  const jobs = new RunningJobs();
  const older = deferred<void>();
  void jobs.begin({ ...job, attempt: 1 }, () => older.promise);
  let hasEnded = false;
  const ended = jobs
    .begin({ ...job, attempt: 2 }, async () => {})
    .then(() => {
      hasEnded = true;
    });
  await new Promise(setImmediate);
  expect(hasEnded).toBe(false);
  older.resolve();
  await ended;
});

test('the lease of a job whose writes fail while the database answers is not renewed', async () => {
  const jobs = new RunningJobs();
  const end = deferred<void>();
  const vitals: AttemptTools['vitals'][] = [];
  for (const id of ['writes', 'stuck', 'idle']) {
    void jobs.begin({ ...job, id, attempt: 1 }, (tools) => {
      vitals.push(tools.vitals);
      return end.promise;
    });
  }
  const now = performance.now();
  vitals[0]!.writingSince = now - 1000;
  vitals[1]!.writingSince = now - 60_000;
  expect(jobs.writing(now - 30_000, 20_000)).toEqual(['writes', 'idle']);
  // After an outage every write had to wait.
  expect(jobs.writing(now - 10_000, 20_000)).toEqual(['writes', 'stuck', 'idle']);
  end.resolve();
  await jobs.ended();
});
