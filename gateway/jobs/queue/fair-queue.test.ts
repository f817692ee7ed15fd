import { expect, test } from '@jest/globals';
import { type FairJob, type FairKey, FairQueue } from './fair-queue.ts';

interface Started extends FairJob {
  at: number;
}

interface Arrival extends FairJob {
  /** When it is queued; a job takes as many seconds as its work. */
  from: number;
}

function key(id: string, share = 1, concurrentJobs = 0): FairKey {
  return { id, share, concurrentJobs, running: 0, virtualStarts: {} };
}

/** Runs the jobs, given in order of arrival, on a number of places. */
function simulate(keys: FairKey[], arrivals: Arrival[], places: number): Started[] {
  const queue = new FairQueue<FairJob>(keys);
  const coming = [...arrivals];
  const running: { keyId: string; until: number }[] = [];
  const started: Started[] = [];
  let now = 0;
  for (;;) {
    while (coming[0] && coming[0].from <= now) {
      queue.add(coming.shift()!);
    }
    for (let job = running.length < places && queue.start(); job; job = running.length < places && queue.start()) {
      started.push({ ...job, at: now });
      running.push({ keyId: job.keyId, until: now + job.work });
    }
    const next = Math.min(...running.map(({ until }) => until), coming[0]?.from ?? Number.POSITIVE_INFINITY);
    if (next === Number.POSITIVE_INFINITY) {
      return started;
    }
    now = next;
    for (const job of running.filter(({ until }) => until <= now)) {
      queue.end(job.keyId);
      running.splice(running.indexOf(job), 1);
    }
  }
}

/** Jobs of several keys in turn, of 1 to 5 seconds. */
function jobs(keyIds: string[], each: number, from = 0, first = 1): Arrival[] {
  return Array.from({ length: keyIds.length * each }, (_, index) => {
    const sequence = first + index;
    return { keyId: keyIds[index % keyIds.length]!, sequence, priority: 0, work: 1 + ((sequence * 7) % 5), from };
  });
}

const workOf = (started: FairJob[], keyId: string) =>
  started.filter((job) => job.keyId === keyId).reduce((sum, { work }) => sum + work, 0);

test.each([1, 2, 8])('while all have jobs, 200 jobs on %s places are shared by weight, within 10 %%', (places) => {
  const weights = { small: 1, medium: 2, large: 5 };
  const ids = Object.keys(weights);
  const keys = Object.entries(weights).map(([id, share]) => key(id, share));
  const started = simulate(keys, jobs(ids, 200), places).slice(0, 200);
  const total = started.reduce((sum, { work }) => sum + work, 0);
  for (const [id, weight] of Object.entries(weights)) {
    const share = workOf(started, id) / total / (weight / 8);
    expect(share).toBeGreaterThan(0.9);
    expect(share).toBeLessThan(1.1);
  }
});

test.each([1, 4])(
  "on %s places a new key's first job starts within one job's length, whatever others queued",
  (places) => {
    const longest = 5;
    const old = jobs(['old'], 200);
    for (const from of [13, 100, 250 / places]) {
      const started = simulate([key('old', 1000), key('new')], [...old, ...jobs(['new'], 5, from, 1000)], places);
      const first = started.find(({ keyId }) => keyId === 'new')!;
      expect(first.at - from).toBeLessThanOrEqual(longest);
    }
  },
);

test('a priority reorders a key and not the keys', () => {
  const urgent = jobs(['a'], 40).map((job) => ({ ...job, priority: job.sequence % 2 === 0 ? 100 : 0 }));
  const started = simulate([key('a'), key('b')], [...urgent, ...jobs(['b'], 40, 0, 41)], 1);
  expect(
    started
      .filter(({ keyId }) => keyId === 'a')
      .slice(0, 20)
      .every(({ priority }) => priority === 100),
  ).toBe(true);
  expect(workOf(started.slice(0, 40), 'a') / workOf(started.slice(0, 40), 'b')).toBeCloseTo(1, 0.5);
});

test('a key at its limit of running jobs leaves the place to others', () => {
  const started = simulate([key('limited', 1000, 1), key('other')], jobs(['limited', 'other'], 4), 3);
  expect(started.filter(({ at }) => at === 0).map(({ keyId }) => keyId)).toEqual(['limited', 'other', 'other']);
  expect(started).toHaveLength(8);
});

test('a job that goes first leaves the credit of other keys as it is', () => {
  const queue = new FairQueue<FairJob>([
    { ...key('ahead'), virtualStarts: { '@': 1000 } },
    { ...key('behind'), virtualStarts: { '@': 5 } },
  ]);
  const job = { priority: 0, work: 20 };
  for (let sequence = 1; sequence <= 30; sequence++) {
    queue.add({ ...job, keyId: 'ahead', sequence, goesFirst: sequence === 1 });
    queue.add({ ...job, keyId: 'behind', sequence: 100 + sequence });
  }
  const order = Array.from({ length: 20 }, () => queue.start()?.keyId);
  expect(order).toEqual(['ahead', ...Array.from({ length: 19 }, () => 'behind')]);
});
