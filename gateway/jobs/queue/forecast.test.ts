import { describe, expect, test } from '@jest/globals';
import { loadPreset } from '../../../services/pipeline/preset.ts';
import { videoWork } from '../video-work.ts';
import { FairQueue } from './fair-queue.ts';
import { Forecast } from './forecast.ts';
import type { KeyInQueue, QueuedJob, QueueSnapshot, RunningJob } from './queue-snapshot.ts';
import { StageTimes } from './stage-times.ts';

const preset = loadPreset('nano');
const settings = {
  width: 64,
  height: 64,
  frameRate: 'low' as const,
  keyframes: { steps: 8 },
  interpolation: { steps: 8 },
};
const work = videoWork(settings, preset);
/** Of a video that took 10 s: 1 of them outside its stages. */
const stages = [
  { stage: 'text-encoder' as const, step: 1, total: 1, seconds: 1 },
  { stage: 'keyframes' as const, step: 8, total: 8, seconds: 6 },
  { stage: 'decoder' as const, step: 15, total: 15, seconds: 2 },
];
const video = { model: 'nano', version: '', settings };
const finished = [{ ...video, stages, seconds: 10 }];

function key(id: string, changes: Partial<KeyInQueue> = {}): KeyInQueue {
  return { id, share: 1, concurrentJobs: 0, virtualStarts: {}, queued: 0, lastRank: null, budgets: [], ...changes };
}

function job(sequence: number, keyId = 'a'): QueuedJob {
  return { id: `job${sequence}`, keyId, sequence, priority: 0, work, ...video };
}

function runningJob(changes: Partial<RunningJob> = {}): RunningJob {
  const facts = { id: 'running', keyId: 'a', sequence: 0, priority: 0, seconds: 60, pauses: 0, hasPlace: true };
  return { ...facts, ...video, stages: [], pauseFor: null, paidAt: 0, deadline: null, ...changes };
}

/** By the database's clock, which is an hour ahead of this machine's. */
const at = new Date(Date.now() + 3_600_000);

function forecast(changes: Partial<QueueSnapshot> = {}): Forecast {
  const nothing = { at, places: 2, nextSequence: 100, keys: [], heads: [], running: [], finished };
  return new Forecast({ ...nothing, ...changes }, () => preset);
}

/** Seconds from the moment of the snapshot, to a tenth: the clock goes on. */
const seconds = (time: Date | undefined) => time && Math.round((time.getTime() - at.getTime()) / 100) / 10;

function places(given: Forecast, ...jobs: QueuedJob[]) {
  return jobs.map((each) => {
    const { position, startsAt, readyAt } = given.placeOf(each);
    return [position, seconds(startsAt), seconds(readyAt)];
  });
}

function placeOfNew(given: Forecast, keyId: string, made = video) {
  return given.placesOfNew([{ keyId, priority: 0, work, ...made }])[0]!;
}

test('stage times grow with the steps, and what is done does not count', () => {
  const times = new StageTimes(finished, [], () => preset);
  expect(times.secondsOf(video)).toBeCloseTo(10);
  expect(times.secondsOf({ ...video, settings: { ...settings, keyframes: { steps: 16 } } })).toBeCloseTo(16);
  expect(times.secondsOf({ ...video, settings: { ...settings, width: 128 } })).toBeCloseTo(19);
  const kept = { ...settings, keptStages: 1 };
  expect(times.secondsOf({ ...video, settings: kept })).toBeCloseTo(4);
  expect(videoWork(kept, preset)).toBeCloseTo((work * (1 + 15)) / (1 + 8 * 15 + 15), 3);
  const pair = { ...settings, prompt: 'a ring growing and a star falling on a navy background' };
  expect(times.secondsOf({ ...video, settings: pair })).toBeCloseTo(10 + 6);
  expect(videoWork(pair, preset)).toBeCloseTo((work * (1 + 2 * 8 * 15 + 15)) / (1 + 8 * 15 + 15), 3);
  const half = [stages[0]!, { ...stages[1]!, step: 4, seconds: 6 }];
  expect(times.remaining({ ...video, stages: half })).toBeCloseTo(6 + 1 / 3 + 2 + 1 / 3);
});

test('given keyframes are encoded at a rate of their own, which says nothing about keyframes that are made', () => {
  const given = { ...video, settings: { ...settings, givenKeyframes: 5 } };
  // Nothing is known about encoding: about as long as decoding, 2 s for 15 frames; no text is encoded.
  const times = new StageTimes(finished, [], () => preset);
  expect(times.secondsOf(given)).toBeCloseTo(2 * (2 / 3 + 1 / 3));
  const encoded = [
    { stage: 'keyframes' as const, step: 5, total: 5, seconds: 10 },
    { stage: 'decoder' as const, step: 5, total: 5, seconds: 2 / 3 },
  ];
  const both = new StageTimes([...finished, { ...given, stages: encoded, seconds: 11 }], [], () => preset);
  expect(both.secondsOf(given)).toBeCloseTo(10 + 2 / 3 + 2 / 4);
  expect(both.secondsOf(video)).toBeCloseTo(9 + 3 / 4);
});

test('jobs start when the running ones have ended', () => {
  const running = [runningJob({ stages: [stages[0]!, { ...stages[1]!, step: 4, seconds: 3 }] }), runningJob()];
  const heads = [job(1), job(2), job(3)];
  const keys = [key('a', { queued: 3, lastRank: 3 })];
  const remaining = 3 + 1 / 3 + 2 + 1 / 3;
  expect(places(forecast({ running, heads, keys }), ...heads)).toEqual([
    [1, expect.closeTo(remaining, 1), expect.closeTo(remaining + 10, 1)],
    [2, expect.closeTo(10, 1), expect.closeTo(20, 1)],
    [3, expect.closeTo(remaining + 10, 1), expect.closeTo(remaining + 20, 1)],
  ]);
});

test('keys take turns by share, and a new job of a key without jobs goes next', () => {
  const heads = [job(1), job(2), job(3), job(4), job(5, 'b'), job(6, 'b')];
  const keys = [key('a', { share: 2, queued: 4, lastRank: 4 }), key('b', { queued: 2, lastRank: 6 })];
  const given = forecast({ heads, keys, places: 1 });
  expect(places(given, ...heads).map(([position]) => position)).toEqual([1, 3, 4, 6, 2, 5]);
  const { position } = placeOfNew(given, 'c');
  expect(position).toBeGreaterThanOrEqual(1);
  expect(position).toBeLessThanOrEqual(3);
});

test('jobs beyond the known ones are spread evenly', () => {
  const heads = [job(1), job(2), job(3), job(4)];
  const keys = [key('a', { queued: 1000, lastRank: 1000 })];
  const given = forecast({ heads, keys, nextSequence: 1001 });
  for (const sequence of [5, 300, 1000]) {
    const [[position, starts] = []] = places(given, job(sequence));
    expect(Math.abs(position! - sequence)).toBeLessThanOrEqual(2);
    expect(starts! / (5 * sequence)).toBeGreaterThan(0.8);
    expect(starts! / (5 * sequence)).toBeLessThan(1.2);
  }
  expect(placeOfNew(given, 'a').position).toBe(1001);
});

test('jobs that are accepted in quick succession come one after the other', () => {
  const given = forecast({ places: 2 });
  const fresh = [job(100), job(101), job(102), job(103), job(104, 'b')];
  const seen = places(given, ...fresh).map(([position, starts]) => [position, Math.round(starts!)]);
  expect(seen.slice(0, 4)).toEqual([
    [1, 0],
    [2, 0],
    [3, 10],
    [4, 10],
  ]);
  expect(seen[4]![0]).toBeLessThanOrEqual(2);
  // Asked again, they have the same places.
  expect(places(given, ...fresh).map(([position]) => position)).toEqual(seen.map(([position]) => position));
});

test("a key's limit on running jobs delays its jobs", () => {
  const heads = [job(1), job(2)];
  const keys = [key('a', { concurrentJobs: 1, queued: 2, lastRank: 2 })];
  const given = forecast({ heads, keys, places: 4 });
  expect(places(given, ...heads, job(3)).map(([, starts]) => Math.round(starts!))).toEqual([0, 10, 20]);
});

test('until a video was made there are positions without times', () => {
  const heads = [job(1), job(2)];
  const given = forecast({ heads, keys: [key('a', { queued: 2, lastRank: 2 })], finished: [], places: 1 });
  expect(places(given, ...heads)).toEqual([
    [1, undefined, undefined],
    [2, undefined, undefined],
  ]);
  expect(given.readyAt(runningJob())).toBeUndefined();
});

test('each model has places of its own', () => {
  const heads = Array.from({ length: 8 }, (_, index) => job(index + 1));
  const given = forecast({
    heads,
    keys: [key('a', { queued: 800, lastRank: 800 })],
    running: [runningJob(), runningJob({ id: 'other' })],
    nextSequence: 801,
  });
  const other = { ...video, model: 'tiny' };
  const { position, startsAt } = placeOfNew(given, 'a', other);
  expect([position, Math.round(seconds(startsAt)!)]).toEqual([1, 0]);
  expect(placeOfNew(given, 'a').position).toBe(801);
  const mixed = [job(1), job(2), job(3), { ...job(4), ...other }, { ...job(5), ...other }, { ...job(6), ...other }];
  const both = forecast({ heads: mixed, keys: [key('a', { queued: 6, lastRank: 6 })], places: 1 });
  expect(places(both, ...mixed).map(([, starts]) => Math.round(starts!))).toEqual([0, 10, 20, 0, 10, 20]);
});

test('jobs of a key whose budget is used wait for its reset', () => {
  const heads = [job(1), job(2), job(3), job(4, 'b')];
  const budget = { unit: 'seconds' as const, left: 15, resetSeconds: 3600 };
  const keys = [key('a', { queued: 3, lastRank: 3, budgets: [budget] }), key('b', { queued: 1, lastRank: 4 })];
  const startsOf = (given: Forecast) => places(given, ...heads).map(([, starts]) => Math.round(starts!));
  expect(startsOf(forecast({ heads, keys, places: 1 }))).toEqual([0, 20, 3600, 10]);
  keys[0] = { ...keys[0]!, budgets: [{ ...budget, left: 0 }] };
  const used = forecast({ heads, keys, places: 1 });
  expect(startsOf(used)).toEqual([3600, 3610, 3620, 0]);
  expect(used.pauses(new Set(), 1)).toEqual([]);
});

test("another key's new jobs take the places that a key at its limit, or without a budget, leaves free", () => {
  const heads = [job(1), job(2), job(3), job(4)];
  const of = (changes: Partial<KeyInQueue>) => [key('a', { queued: 4, lastRank: 4, ...changes })];
  const placesOf = (given: Forecast) =>
    given
      .placesOfNew(['b', 'b', 'a'].map((keyId) => ({ keyId, priority: 0, work, ...video })))
      .map(({ position, startsAt }) => [position, Math.round(seconds(startsAt)!)]);
  const used = { unit: 'videos' as const, left: 0, resetSeconds: 3600 };
  const [first, second, own] = placesOf(forecast({ heads, keys: of({ budgets: [used] }), places: 2 }));
  expect([first, second]).toEqual([
    [1, 0],
    [2, 0],
  ]);
  expect(own![1]).toBeGreaterThan(3600);
  const running = [runningJob({ seconds: 1 })];
  const limited = placesOf(forecast({ heads, running, keys: of({ concurrentJobs: 1 }), places: 3 }));
  expect(limited.slice(0, 2)).toEqual([
    [1, 0],
    [2, 0],
  ]);
});

test('a key with queued jobs that start at once is not held by others that wait for a budget or a limit', () => {
  const heads = [job(1, 'held'), job(2, 'held'), job(3, 'held'), job(4, 'b')];
  const startsOf = (held: Partial<KeyInQueue>, running: RunningJob[] = []) => {
    const keys = [key('held', { queued: 3, lastRank: 3, ...held }), key('b', { queued: 1, lastRank: 4 })];
    const given = forecast({ heads, keys, running, places: 4, nextSequence: 5 });
    const jobs = ['b', 'b', 'held'].map((keyId) => ({ keyId, priority: 0, work, ...video }));
    return given.placesOfNew(jobs).map(({ startsAt }) => Math.round(seconds(startsAt)!));
  };
  const used = { unit: 'videos' as const, left: 0, resetSeconds: 3600 };
  expect(startsOf({ budgets: [used] })).toEqual([0, 0, 3600]);
  const [first, second, own] = startsOf({ concurrentJobs: 1 }, [runningJob({ keyId: 'held', seconds: 1 })]);
  expect([first, second]).toEqual([0, 0]);
  expect(own).toBeGreaterThan(20);
});

test('new jobs of a key without others are held by its limit and its budget', () => {
  const startsOf = (changes: Partial<KeyInQueue>, places = 4) => {
    const given = forecast({ places });
    expect(given.knows('idle')).toBe(false);
    const jobs = [1, 2, 3].map(() => ({ keyId: 'idle', priority: 0, work, ...video }));
    given.learn(key('idle', changes));
    const starts = given.placesOfNew(jobs).map(({ startsAt }) => Math.round(seconds(startsAt)!));
    expect(given.knows('idle')).toBe(true);
    return starts;
  };
  expect(startsOf({})).toEqual([0, 0, 0]);
  expect(startsOf({ concurrentJobs: 1 })).toEqual([0, 10, 20]);
  // What runs counts when it has ended.
  const budgets = [{ unit: 'seconds' as const, left: 15, resetSeconds: 3600 }];
  expect(startsOf({ budgets })).toEqual([0, 0, 0]);
  expect(startsOf({ budgets }, 1)).toEqual([0, 10, 3600]);
});

test('a gateway that is paused has no places, and without any the times are unknown', () => {
  const [running, heads] = [[runningJob({ hasPlace: false })], [job(1), job(2)]];
  const keys = [key('a', { queued: 2, lastRank: 2 })];
  const startsOf = (given: Forecast) => places(given, ...heads);
  expect(startsOf(forecast({ heads, keys, running, places: 1 }))).toEqual([
    [1, 0, expect.closeTo(10, 1)],
    [2, expect.closeTo(10, 1), expect.closeTo(20, 1)],
  ]);
  expect(startsOf(forecast({ heads, keys, running, places: 0 }))).toEqual([
    [1, undefined, undefined],
    [2, undefined, undefined],
  ]);
});

test('a job that is about to be paused ends after the other one', () => {
  const half = [stages[0]!, { ...stages[1]!, step: 4, seconds: 3 }];
  const running = [runningJob({ stages: half, pauseFor: 'job1' })];
  const heads = [job(1, 'b'), job(2)];
  const keys = [key('a', { queued: 1, lastRank: 2 }), key('b', { queued: 1, lastRank: 1 })];
  const given = forecast({ heads, keys, running, places: 1 });
  const left = 5 + 2 / 3;
  expect(places(given, heads[0]!)).toEqual([[1, 0, expect.closeTo(10, 1)]]);
  expect(seconds(given.readyAt(running[0]!))).toBeCloseTo(10 + left, 1);
  expect(places(given, heads[1]!)).toEqual([[3, expect.closeTo(10 + left, 1), expect.closeTo(20 + left, 1)]]);
});

test('jobs that are asked for together wait for each other, and leave no trace', () => {
  const given = forecast({ places: 2 });
  const five = Array.from({ length: 5 }, () => ({ keyId: 'a', priority: 0, work, ...video }));
  for (const _ of [1, 2]) {
    const asked = given.placesOfNew(five).map(({ position, startsAt }) => [position, Math.round(seconds(startsAt)!)]);
    expect(asked).toEqual([
      [1, 0],
      [2, 0],
      [3, 10],
      [4, 10],
      [5, 20],
    ]);
  }
});

describe('new jobs do not wait for what other keys may not start', () => {
  /** When the jobs of a key without others would start. */
  const startsOfNew = (given: Forecast, count: number, changes: Partial<KeyInQueue> = {}) => {
    const jobs = Array.from({ length: count }, () => ({ keyId: 'idle', priority: 0, work, ...video }));
    given.learn(key('idle', { concurrentJobs: 4, ...changes }));
    const asked = given.placesOfNew(jobs);
    return asked.map(({ startsAt }) => Math.round(seconds(startsAt)!));
  };
  const jobsOf = (keyId: string, count: number) => Array.from({ length: count }, (_, index) => job(index + 1, keyId));

  test('a budget that is used up meanwhile', () => {
    const budgets = [{ unit: 'seconds' as const, left: 15, resetSeconds: 3600 }];
    const [heads, queued] = [jobsOf('budget', 20), { queued: 20, lastRank: 20 }];
    const given = forecast({ heads, keys: [key('budget', { concurrentJobs: 4, budgets, ...queued })], places: 10 });
    expect(startsOfNew(given, 8)).toEqual([0, 0, 0, 0, 10, 10, 10, 10]);
  });

  test('the jobs of a key at its limit, known and unknown', () => {
    const limited = key('limited', { share: 10, concurrentJobs: 1, queued: 39, lastRank: 39 });
    const running = [runningJob({ keyId: 'limited', seconds: 1 })];
    for (const known of [39, 5]) {
      const given = forecast({ heads: jobsOf('limited', known), keys: [limited], running, places: 10 });
      expect(startsOfNew(given, 8)).toEqual([0, 0, 0, 0, 10, 10, 10, 10]);
    }
  });

  test('their long jobs, when the own limit is what holds it', () => {
    const settings = { ...video.settings, keyframes: { steps: 80 } };
    const long = jobsOf('long', 3).map((each) => ({ ...each, settings }));
    const keys = [key('long', { concurrentJobs: 1, queued: 3, lastRank: 3 }), key('idle', { concurrentJobs: 1 })];
    const ending = { stages: [stages[0]!, stages[1]!, { ...stages[2]!, step: 12, seconds: 1 }] };
    const running = [runningJob({ keyId: 'idle', ...ending }), runningJob({ id: 'other', keyId: 'long', settings })];
    const given = forecast({ heads: long, keys, running, places: 4 });
    expect(startsOfNew(given, 1, { concurrentJobs: 1 })[0]).toBeLessThanOrEqual(2);
  });

  test('but for the own running job, however short the others are', () => {
    const settings = { ...video.settings, keyframes: { steps: 80 } };
    const keys = [key('idle', { concurrentJobs: 1 })];
    const given = forecast({ keys, running: [runningJob({ keyId: 'idle', settings })], places: 4 });
    expect(startsOfNew(given, 1, { concurrentJobs: 1 })[0]).toBeGreaterThan(50);
  });
});

test('jobs that another gateway accepted count once', () => {
  const given = forecast({ places: 1 });
  given.accept([job(100), job(101)]);
  given.accept([job(101), job(102)]);
  const placesOfAll = [
    [1, 0, 10],
    [2, 10, 20],
    [3, 20, 30],
  ];
  expect(places(given, job(100), job(101), job(102))).toEqual(placesOfAll);
  expect(placeOfNew(given, 'a').position).toBe(4);
  expect(places(given, job(100), job(101), job(102))).toEqual(placesOfAll);
  expect(places(given, job(103))).toEqual([[4, 30, 40]]);
});

test('however many jobs are accepted, simulating the queue with them takes a bounded time', () => {
  const queued = Array.from({ length: 1000 }, (_, index) => job(index + 1));
  const given = forecast({ heads: queued, keys: [key('a', { queued: 1000, lastRank: 1000 })], nextSequence: 1001 });
  const { add } = FairQueue.prototype;
  let read = 0;
  FairQueue.prototype.add = function (each) {
    read++;
    add.call(this, each);
  };
  try {
    const starts = Array.from({ length: 100 }, (_, index) => seconds(given.placeOf(job(1001 + index)).startsAt)!);
    expect(read).toBeLessThan(20 * 1000);
    expect(starts[99]! / starts[0]!).toBeCloseTo(1.1, 1);
  } finally {
    FairQueue.prototype.add = add;
  }
});
