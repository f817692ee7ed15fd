import { expect, test } from '@jest/globals';
import { StatementClock } from './statement-clock.ts';

function message(type: string, body = ''): Buffer {
  const bytes = Buffer.from(`${type}....${body}`);
  bytes.writeUInt32BE(4 + body.length, 1);
  return bytes;
}

const startup = Buffer.from([0, 0, 0, 8, 0, 3, 0, 0]);
const ready = message('Z', 'I');

/** A clock on a connection that has been made. */
function idleClock(): StatementClock {
  const clock = new StatementClock([]);
  expect(clock.waitingSince).toBeUndefined();
  clock.sent(startup);
  expect(clock.waitingSince).toBeDefined();
  clock.received(Buffer.concat([message('R', '\0\0\0\0'), message('S', 'name\0value\0')]));
  expect(clock.waitingSince).toBeDefined();
  clock.received(ready);
  expect(clock.waitingSince).toBeUndefined();
  return clock;
}

test('a statement waits until the whole of its answer has come, in whatever pieces', () => {
  const clock = idleClock();
  clock.sent(message('Q', 'select 1\0'));
  for (const byte of Buffer.concat([message('D', 'ZZZZZZZZ'), message('C', 'SELECT 1\0'), ready])) {
    expect(clock.waitingSince).toBeDefined();
    clock.received(Buffer.of(byte));
  }
  expect(clock.waitingSince).toBeUndefined();
});

test('a statement waits from when the driver first asks for its types', () => {
  const clock = idleClock();
  clock.sent(Buffer.concat([message('P', 'select $1\0'), message('D', 'S\0'), message('H')]));
  const since = clock.waitingSince;
  expect(since).toBeDefined();
  clock.received(Buffer.concat([message('1'), message('t', '\0\0')]));
  clock.sent(Buffer.concat([message('B'), message('E'), message('S')]));
  expect(clock.waitingSince).toBe(since);
  clock.received(Buffer.concat([message('2'), ready]));
  expect(clock.waitingSince).toBeUndefined();
});

test('statements sent together are timed separately', () => {
  const clock = idleClock();
  clock.sent(Buffer.concat([message('Q', 'begin\0'), message('Q', 'select 1\0')]));
  const first = clock.waitingSince;
  clock.received(Buffer.concat([ready, message('N', 'a notice')]));
  expect(clock.waitingSince).toBeGreaterThan(first!);
  clock.received(ready);
  expect(clock.waitingSince).toBeUndefined();
});

test('a notification is not an answer, and closing does not wait for one', () => {
  const clock = idleClock();
  clock.received(message('A', 'channel\0payload\0'));
  clock.sent(message('X'));
  expect(clock.waitingSince).toBeUndefined();
});
