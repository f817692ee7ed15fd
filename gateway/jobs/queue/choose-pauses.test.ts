import { expect, test } from '@jest/globals';
import { choosePauses, maxPauses } from './choose-pauses.ts';
import type { KeyInQueue, QueuedJob, RunningJob } from './queue-snapshot.ts';

const model = { model: 'nano', version: '' };
const settings = {
  width: 64,
  height: 64,
  frameRate: 'low' as const,
  keyframes: { steps: 8 },
  interpolation: { steps: 8 },
};

function queued(sequence: number, changes: Partial<QueuedJob> = {}): QueuedJob {
  return { id: `q${sequence}`, keyId: 'a', sequence, priority: 0, work: 1, settings, ...model, ...changes };
}

function running(sequence: number, changes: Partial<RunningJob> = {}): RunningJob {
  const facts = {
    keyId: 'a',
    priority: 0,
    stages: [],
    seconds: 100,
    pauses: 0,
    pauseFor: null,
    paidAt: 0,
    deadline: null,
  };
  return { id: `r${sequence}`, sequence, settings, hasPlace: true, ...facts, ...model, ...changes };
}

function key(id: string, changes: Partial<KeyInQueue> = {}): KeyInQueue {
  return { id, share: 1, concurrentJobs: 0, virtualStarts: {}, queued: 1, lastRank: 1, budgets: [], ...changes };
}

/** As `job>for`, with 60 s as the least, 100 s of waiting and, unless `left` says otherwise, 100 s to go. */
function pauses(
  heads: QueuedJob[],
  jobs: RunningJob[],
  keys = [key('a'), key('b')],
  left: Record<string, number> = {},
) {
  const own = new Set(jobs.map(({ id }) => id).filter((id) => id !== 'r99'));
  const times = {
    wait: () => left.wait ?? 100,
    duration: () => 100,
    remaining: ({ id }: RunningJob) => left[id] ?? 100,
    untilDeadline: () => left.deadline ?? Number.POSITIVE_INFINITY,
  };
  return choosePauses({ heads, running: jobs, keys }, own, 60, times).map((each) => `${each.job}>${each.for}`);
}

test('a higher priority takes the place of the lowest one of its key that has the longest to go', () => {
  const jobs = [running(1, { priority: 3 }), running(2), running(3), running(4, { keyId: 'b' })];
  expect(pauses([queued(9, { priority: 5 })], jobs, undefined, { r3: 200 })).toEqual(['r3>q9']);
  expect(pauses([queued(9)], jobs)).toEqual([]);
  // A level of priority overtakes ten earlier jobs and no more.
  expect(pauses([queued(12, { priority: 1 })], [running(2)])).toEqual([]);
  expect(pauses([queued(9, { priority: 5 }), queued(10, { priority: 5 })], jobs)).toHaveLength(1);
});

test('a key with less than its share takes a place of one with more, and not back', () => {
  const two = [running(1), running(2)];
  expect(pauses([queued(9, { keyId: 'b' })], two)).toEqual(['r1>q9']);
  const exchanged = [running(2), running(9, { keyId: 'b' })];
  expect(pauses([queued(10, { keyId: 'b' })], exchanged)).toEqual([]);
  expect(pauses([queued(1, { keyId: 'a', priority: 50 })], exchanged)).toEqual(['r2>q1']);
  expect(pauses([queued(9, { keyId: 'b' })], [running(1)])).toEqual([]);
  expect(pauses([queued(9, { keyId: 'b' })], [running(1)], [key('a'), key('b', { share: 3 })])).toEqual(['r1>q9']);
  const limited = [key('a'), key('b', { concurrentJobs: 1 })];
  const three = [running(1), running(2), running(3), running(4), running(5, { keyId: 'b' })];
  expect(pauses([queued(9, { keyId: 'b' })], three)).toEqual(['r1>q9']);
  expect(pauses([queued(9, { keyId: 'b' })], three, limited)).toEqual([]);
});

test.each<[string, Partial<QueuedJob>, Partial<RunningJob>, Record<string, number>]>([
  ['it would save too little waiting', {}, {}, { wait: 59 }],
  ['it has little to go', {}, {}, { r2: 59 }],
  ['it has just started or continued', {}, { seconds: 59 }, {}],
  ['it was paused often enough', {}, { pauses: maxPauses }, {}],
  ['it makes another model', {}, { version: '2' }, {}],
  ['it runs at another gateway', {}, { id: 'r99' }, {}],
  ['it is about to be paused already', {}, { pauseFor: 'q8' }, {}],
  ['it might miss its deadline', {}, {}, { deadline: 299 }],
  ['the queued one is paused itself', { paidAt: 0 }, {}, {}],
])('no job is paused if %s', (_, job, other, left) => {
  const high = queued(9, { priority: 5, ...job });
  expect(pauses([high], [running(2, other)], undefined, left)).toEqual([]);
  expect(pauses([queued(9, { priority: 5 })], [running(2)], undefined, { deadline: 300 })).toEqual(['r2>q9']);
});

test('no job is paused for a key whose budget is used', () => {
  const budgets = [{ unit: 'videos' as const, left: 0, resetSeconds: 60 }];
  expect(pauses([queued(9, { priority: 5 })], [running(2)], [key('a', { budgets })])).toEqual([]);
});
