import { EventEmitter } from 'node:events';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { expect, test } from '@jest/globals';
import { RequestPace } from './request-pace.ts';

/** Lets `count` requests wait; records the numbers of those that have started. */
function startRequests(pace: RequestPace, count: number): number[] {
  const started: number[] = [];
  for (let number = 0; number < count; number++) {
    void pace.turn().then(() => started.push(number));
  }
  return started;
}

test('requests start in order, a few in each turn', async () => {
  const started = startRequests(new RequestPace(new EventEmitter()), 20);
  const counts: number[] = [];
  while (started.length < 20) {
    await nextTurn();
    counts.push(started.length);
  }
  expect(counts).toEqual([8, 16, 20]);
  expect(started).toEqual(Array.from({ length: 20 }, (_, index) => index));
});

test('no request starts while connections are accepted', async () => {
  const server = new EventEmitter();
  const started = startRequests(new RequestPace(server, 1e9), 3);
  for (let connection = 0; connection < 50; connection++) {
    server.emit('connection');
    await nextTurn();
  }
  expect(started).toEqual([]);
  await nextTurn();
  expect(started).toEqual([0, 1, 2]);
});

test('a flood of connections does not hold requests back forever', async () => {
  const server = new EventEmitter();
  const started = startRequests(new RequestPace(server, 0), 3);
  for (const expected of [[0], [0, 1], [0, 1, 2]]) {
    server.emit('connection');
    await nextTurn();
    expect(started).toEqual(expected);
  }
});
