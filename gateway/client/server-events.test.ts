import { expect, test } from '@jest/globals';
import { readServerEvents } from './server-events.ts';

test('events are parsed however they are chunked', async () => {
  const stream =
    'retry: 1000\n\nid: 1\nevent: state\ndata: {"a":"ä"}\n\n:\n\nid: 2\r\ndata: x\r\ndata: y\r\n\r\nid: 3\ndata: z';
  const bytes = Buffer.from(stream);
  for (const size of [1, 2, 7, 1000]) {
    const chunks = async function* () {
      for (let at = 0; at < bytes.length; at += size) {
        yield bytes.subarray(at, at + size);
      }
    };
    const events: unknown[] = [];
    for await (const event of readServerEvents(chunks())) {
      events.push(event);
    }
    expect(events).toEqual([
      { id: '1', data: '{"a":"ä"}' },
      { id: '2', data: 'x\ny' },
    ]);
  }
});
