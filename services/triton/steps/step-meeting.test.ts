import { afterEach, beforeEach, expect, jest, test } from '@jest/globals';
import { type EndBatch, type MeetingStep, StepMeeting } from './step-meeting.ts';

interface Step extends MeetingStep {
  name: string;
}

beforeEach(() => {
  jest.useFakeTimers();
});
afterEach(() => {
  jest.useRealTimers();
});

/** A meeting whose batches end when they are told to. */
function setUp({ maxItems = 8, servers = 1 } = {}) {
  const batches: string[] = [];
  const ends = new Map<string, EndBatch>();
  const meeting = new StepMeeting<Step>({
    maxItems,
    servers: () => servers,
    send(batch, end) {
      const names = batch.map(({ name }) => name).join(' ');
      batches.push(names);
      ends.set(names, end);
    },
  });
  return {
    batches,
    meeting,
    add(name: string, { items = 1, priority = 0 } = {}) {
      const step = { name, items, priority };
      meeting.add(step);
      return step;
    },
    /** Ends these batches, by default all under way, after this many milliseconds. */
    end(milliseconds: number, ended = [...ends.keys()], succeeded = true) {
      jest.advanceTimersByTime(milliseconds);
      for (const names of ended) {
        ends.get(names)!(succeeded);
        ends.delete(names);
      }
    },
  };
}

test('a video alone never waits', () => {
  const { add, end, batches } = setUp();
  for (const step of ['a1', 'a2', 'a3']) {
    add(step);
    expect(batches.at(-1)).toBe(step);
    end(1000);
  }
});

test('a video that begins later joins the others for good', () => {
  const { add, end, batches } = setUp();
  add('a1');
  end(1000);
  add('a2');
  add('b1');
  add('c1');
  end(1000);
  add('a3');
  end(1000);
  add('c2');
  add('a4');
  expect(batches).toEqual(['a1', 'a2', 'b1 c1 a3']);
  add('b2');
  expect(batches.at(-1)).toBe('c2 a4 b2');
});

test('a video that ended, or is slow, is waited for during a tenth of the batch', () => {
  const { add, end, batches } = setUp();
  add('a1');
  end(1000);
  add('a2');
  add('b1');
  end(1000);
  jest.advanceTimersByTime(99);
  expect(batches).toEqual(['a1', 'a2']);
  jest.advanceTimersByTime(1);
  expect(batches.at(-1)).toBe('b1');
});

test('a batch that does not end holds up no step for longer than the last one took and a tenth', () => {
  const { add, end, batches } = setUp();
  add('a1');
  end(1000);
  add('a2');
  add('b1');
  jest.advanceTimersByTime(1099);
  expect(batches).toEqual(['a1', 'a2']);
  jest.advanceTimersByTime(1);
  expect(batches.at(-1)).toBe('b1');
});

test('a batch that failed says nothing about the duration of the next, nor do its videos come back', () => {
  const { add, end, batches } = setUp();
  add('a1');
  end(1000);
  add('a2');
  end(100_000, ['a2'], false);
  add('b1');
  add('c1');
  expect(batches).toEqual(['a1', 'a2', 'b1']);
  jest.advanceTimersByTime(1100);
  expect(batches.at(-1)).toBe('c1');
});

test('while the first batch is under way, nothing is known of its duration, so steps go at once', () => {
  const { add, batches } = setUp();
  add('a1');
  add('b1');
  expect(batches).toEqual(['a1', 'b1']);
});

test('full batches go at once, the first level first; the rest waits', () => {
  const { add, end, batches } = setUp({ maxItems: 4 });
  add('a1');
  end(1000);
  add('a2');
  add('b1', { items: 2 });
  add('c1', { items: 1 });
  expect(batches).toEqual(['a1', 'a2']);
  add('d1', { items: 2, priority: 1 });
  expect(batches.at(-1)).toBe('d1 b1');
  add('e1', { items: 4 });
  expect(batches.slice(3)).toEqual(['c1', 'e1']);
});

test('several servers share the steps evenly', () => {
  const { add, end, batches } = setUp({ servers: 2 });
  add('a1');
  end(1000);
  for (const step of ['a2', 'b1', 'c1', 'd1']) {
    add(step);
  }
  expect(batches).toEqual(['a1', 'a2', 'b1']);
  end(1000, ['a2']);
  add('a3');
  expect(batches.slice(3)).toEqual(['c1 d1']);
  end(100, ['b1']);
  add('b2');
  expect(batches.slice(4)).toEqual(['a3 b2']);
});

test('a step that leaves is not sent', () => {
  const { meeting, add, end, batches } = setUp();
  add('a1');
  end(1000);
  add('a2');
  meeting.remove(add('b1'));
  add('c1');
  end(1000);
  add('a3');
  expect(batches.at(-1)).toBe('c1 a3');
});
