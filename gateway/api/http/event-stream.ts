import { deferred } from '../../../services/kit/deferred.ts';
import type { JobEvent } from '../../jobs/job.ts';

/** A comment is sent after this much silence, so that proxies keep the connection open. */
const heartbeatMilliseconds = 15_000;

/** When a client should reconnect after its stream ended early. */
const retryMilliseconds = 1000;

/**
 * Events as `text/event-stream` has them. The next event is fetched when its reader has room for it. Whatever ends the
 * events early ends the stream with a hint when to come again: the reader goes on with its Last-Event-ID.
 */
export async function* eventStream(
  events: AsyncIterable<JobEvent>,
  toData: (event: JobEvent) => unknown,
): AsyncGenerator<string> {
  // Sends the headers, too, however long the first event is in coming.
  yield `retry: ${retryMilliseconds}\n\n`;
  const iterator = events[Symbol.asyncIterator]();
  try {
    for (;;) {
      const next = iterator.next();
      for await (const _ of silences(next)) {
        yield ':\n\n';
      }
      const { value, done } = await next;
      if (done) {
        return;
      }
      yield `id: ${value.number}\nevent: ${value.kind}\ndata: ${JSON.stringify(toData(value))}\n\n`;
    }
  } catch {
    yield `retry: ${retryMilliseconds}\n\n`;
  } finally {
    await iterator.return?.();
  }
}

/** Yields each time that a heartbeat's time has passed before `awaited` is settled. */
async function* silences(awaited: Promise<unknown>): AsyncGenerator<void> {
  let settled = false;
  let wake = deferred();
  const settle = () => {
    settled = true;
    wake.resolve();
  };
  // Once, not in a race for every heartbeat: each would hold on to the promise.
  awaited.then(settle, settle);
  while (!settled) {
    wake = deferred();
    const timer = setTimeout(() => wake.resolve(), heartbeatMilliseconds);
    await wake.promise;
    clearTimeout(timer);
    if (!settled) {
      yield;
    }
  }
}
