import { beforeEach, describe, expect, test } from '@jest/globals';
import { Status } from 'nice-grpc-common';
import type { Job, NewJob } from './job.ts';
import { MemoryJobStore } from './memory-job-store.ts';

const forever = new AbortController().signal;
const stage = (step: number) => ({ stage: 'keyframes' as const, step, total: 100, seconds: 0 });
const request: NewJob = { clientId: '', fingerprint: 'a', settings: {} as NewJob['settings'], warnings: [] };

let store: MemoryJobStore;
beforeEach(() => {
  store = new MemoryJobStore(3);
});

async function createMany(count: number): Promise<Job[]> {
  const jobs: Job[] = [];
  for (let index = 0; index < count; index++) {
    jobs.push(await store.create(request));
  }
  return jobs;
}

describe('claims', () => {
  test('come in the order of creation, each job once', async () => {
    const jobs = await createMany(3);
    const claims = await Promise.all(jobs.map(() => store.claim(forever)));
    expect(claims.map(({ job }) => [job.id, job.state])).toEqual(jobs.map(({ id }) => [id, 'running']));
  });

  test('wait for a job, and end with their signal', async () => {
    const abort = new AbortController();
    const aborted = store.claim(abort.signal);
    const waiting = store.claim(forever);
    abort.abort();
    await expect(aborted).rejects.toMatchObject({ name: 'AbortError' });
    const [job] = await createMany(1);
    expect((await waiting).job.id).toBe(job!.id);
  });

  test('make room in the queue, and learn that their job was ended', async () => {
    await createMany(3);
    await expect(store.create(request)).rejects.toMatchObject({ code: Status.RESOURCE_EXHAUSTED });
    const { job, ended } = await store.claim(forever);
    await createMany(1);
    expect(ended.aborted).toBe(false);
    expect(await store.finish(job.id, { state: 'cancelled' })).toBe(true);
    expect(ended.aborted).toBe(true);
  });
});

test('what has ended never changes again', async () => {
  const [job] = await createMany(1);
  await store.claim(forever);
  await store.finish(job!.id, { state: 'cancelled' });
  const ended = await store.get(job!.id);
  expect(await store.finish(job!.id, { state: 'succeeded', frames: 57, fileBytes: 1 })).toBe(false);
  await store.update(job!.id, { stages: [stage(1)], warnings: ['late'] });
  expect(await store.get(job!.id)).toBe(ended);
});

test('a slow reader of a watch misses changes, never the last one', async () => {
  const [job] = await createMany(1);
  const seen: Job[] = [];
  const watch = store.watch(job!.id, forever)[Symbol.asyncIterator]();
  seen.push((await watch.next()).value as Job);
  await store.claim(forever);
  for (let step = 1; step <= 100; step++) {
    await store.update(job!.id, { stages: [stage(step)], warnings: [] });
  }
  seen.push((await watch.next()).value as Job);
  await store.finish(job!.id, { state: 'succeeded', frames: 57, fileBytes: 1 });
  seen.push((await watch.next()).value as Job);
  expect(seen.map(({ state, stages }) => [state, stages[0]?.step])).toEqual([
    ['queued', undefined],
    ['running', 100],
    ['succeeded', 100],
  ]);
  expect((await watch.next()).done).toBe(true);
});

test('a watch ends with its signal', async () => {
  const [job] = await createMany(1);
  const abort = new AbortController();
  const watch = store.watch(job!.id, abort.signal)[Symbol.asyncIterator]();
  await watch.next();
  const next = watch.next();
  abort.abort();
  await expect(next).rejects.toMatchObject({ name: 'AbortError' });
});

test('a repeated request is answered even when the queue is full, and a deleted one frees its client id', async () => {
  const mine = { ...request, clientId: 'mine' };
  const first = await store.create(mine);
  await createMany(2);
  expect(await store.create(mine)).toBe(first);
  await store.finish(first.id, { state: 'cancelled' });
  expect((await store.create(mine)).id).toBe(first.id);
  expect(await store.delete(first.id)).toBe(true);
  expect((await store.create({ ...mine, fingerprint: 'b' })).id).not.toBe(first.id);
});

test('the jobs beyond those to keep are the ones that ended first', async () => {
  const [first, second, third] = await createMany(3);
  for (const job of [second, third, first]) {
    await store.finish(job!.id, { state: 'cancelled' });
  }
  expect(await store.finishedBeyond(1)).toEqual([second!.id, third!.id]);
  expect(await store.finishedBeyond(3)).toEqual([]);
});
