import { deferred } from '../../../services/kit/deferred.ts';
import type { JobEvent } from '../../jobs/job.ts';

/** A comment is sent after this much silence, so that proxies keep the connection open. */
const heartbeatMilliseconds = 15_000;

/** When a client should reconnect after its stream ended early. */
const retryMilliseconds = 1000;

/**
 * Encodes events as `text/event-stream`. The next event is fetched when the reader has room for it. If the events end
 * early, the stream ends with a hint when to reconnect; the reader resumes with its Last-Event-ID.
 */
export async function* eventStream(
  events: AsyncIterable<JobEvent>,
  toData: (event: JobEvent) => unknown,
): AsyncGenerator<string> {
  // Sends the headers immediately, however long the first event takes.
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

/** Yields whenever the heartbeat interval passes before `awaited` settles. */
async function* silences(awaited: Promise<unknown>): AsyncGenerator<void> {
  let settled = false;
  let wake = deferred();
  const settle = () => {
    settled = true;
    wake.resolve();
  };
  // Attached once: a race per heartbeat would keep a reaction on the promise each time.
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
