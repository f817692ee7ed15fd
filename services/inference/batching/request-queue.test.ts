import { expect, test } from '@jest/globals';
import { Status } from 'nice-grpc-common';
import { ModelQueuePolicy, ModelQueuePolicy_TimeoutAction } from '../../../proto/gen/model_config.ts';
import { type Deferred, deferred } from '../../kit/deferred.ts';
import type { FusionError } from '../../kit/errors.ts';
import { type Queued, RequestQueue } from './request-queue.ts';

interface Request extends Queued {
  dropped: Deferred<FusionError>;
}

function request(id: string, priority = 0n, timeoutMicroseconds = 0n): Request {
  const dropped = deferred<FusionError>();
  return { id, priority, timeoutMicroseconds, dropped, drop: dropped.resolve };
}

function queueWith(policy: Partial<ModelQueuePolicy>): RequestQueue<Request> {
  return new RequestQueue(() => ModelQueuePolicy.fromPartial(policy), 100);
}

const ids = (queue: RequestQueue<Request>) => [...queue].map(({ id }) => id);

test('priorities are served in order, equal ones first come first served', () => {
  const queue = queueWith({});
  for (const one of [request('a', 2n), request('b', 1n), request('c', 2n), request('d', 1n)]) {
    queue.add(one);
  }
  expect(ids(queue)).toEqual(['b', 'd', 'a', 'c']);
});

test('a full queue rejects, naming the request', () => {
  const queue = queueWith({ maxQueueSize: 1 });
  queue.add(request('first'));
  expect(() => queue.add(request('second'))).toThrow(
    expect.objectContaining({ code: Status.UNAVAILABLE, message: '[request id: second] Exceeds maximum queue size' }),
  );
  expect(() => queue.add(request('other', 3n))).not.toThrow();
});

test('without a policy the default bound holds', () => {
  const queue = new RequestQueue<Request>(() => undefined, 1);
  queue.add(request('first'));
  expect(() => queue.add(request('second'))).toThrow('Exceeds maximum queue size');
});

test('a removed request is gone', () => {
  const queue = queueWith({});
  const [one, other] = [request('one'), request('other')];
  queue.add(one);
  queue.add(other);
  expect(queue.remove(one)).toBe(true);
  expect(queue.remove(one)).toBe(false);
  expect(ids(queue)).toEqual(['other']);
  expect(queue.length).toBe(1);
});

test('a request that has timed out is dropped', async () => {
  const queue = queueWith({ defaultTimeoutMicroseconds: 1000n });
  const late = request('late');
  queue.add(late);
  expect(await late.dropped.promise).toMatchObject({ code: Status.UNAVAILABLE, message: 'Request timeout expired' });
  expect(queue.length).toBe(0);
});

test('a late request moves to the end instead if the policy says so', async () => {
  const queue = queueWith({
    defaultTimeoutMicroseconds: 3_600_000_000n,
    allowTimeoutOverride: true,
    timeoutAction: ModelQueuePolicy_TimeoutAction.DELAY,
  });
  queue.add(request('late', 0n, 1000n));
  queue.add(request('patient'));
  while (ids(queue)[0] === 'late') {
    await new Promise((resolve) => setTimeout(resolve, 1));
  }
  expect(ids(queue)).toEqual(['patient', 'late']);
  for (const one of [...queue]) {
    queue.remove(one);
  }
});
