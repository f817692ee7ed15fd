import type { Http2Stream } from 'node:http2';
import { BaseServerInterceptingCall } from '@grpc/grpc-js/build/src/server-interceptors.js';
import { Http2SubchannelCall } from '@grpc/grpc-js/build/src/subchannel-call.js';
import { expect, test } from '@jest/globals';
import { HealthDefinition } from '../../proto/gen/grpc/health/v1/health.ts';
import { eventually } from '../../test/support/cli.ts';
import { connect } from './channel.ts';
import { createLogger } from './log.ts';
import { serve } from './serve.ts';
import { scopeOfAllTests } from './testing/test-scope.ts';

const scope = scopeOfAllTests();

/** Notes the stream of each call. */
function noteStreams<Call>(call: Call, method: keyof Call, streamOf: (call: Call) => Http2Stream): Set<Http2Stream> {
  const streams = new Set<Http2Stream>();
  const original = call[method] as (...given: unknown[]) => unknown;
  call[method] = function (this: Call, ...given: unknown[]) {
    streams.add(streamOf(this));
    return original.apply(this, given);
  } as never;
  return streams;
}

test('closed streams of both sides refer to their calls no more', async () => {
  const client = Http2SubchannelCall.prototype as unknown as { startRead: unknown; http2Stream: Http2Stream };
  const server = BaseServerInterceptingCall.prototype as unknown as { start: unknown; stream: Http2Stream };
  const sides = [
    noteStreams(client, 'startRead', ({ http2Stream }) => http2Stream),
    noteStreams(server, 'start', ({ stream }) => stream),
  ];
  const running = await serve({ address: '127.0.0.1:0', services: [], log: createLogger('test', 'silent') });
  scope.add(running);
  const connection = connect(HealthDefinition, running.address);
  scope.defer(connection.close);
  expect(await connection.client.check({ service: '' })).toEqual({ status: 1 });
  for (const streams of sides) {
    expect(streams.size).toBe(1);
    const [stream] = streams;
    await eventually(() => stream!.closed && stream!.eventNames().join() === 'error');
  }
});
