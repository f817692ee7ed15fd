import { afterAll, expect, test } from '@jest/globals';
import type { ServiceImplementation } from 'nice-grpc';
import { type CallContext, Metadata } from 'nice-grpc-common';
import { VideoServiceDefinition } from '../../proto/gen/fusionframes/v1/video.ts';
import { connect } from '../../services/kit/channel.ts';
import { deferred } from '../../services/kit/deferred.ts';
import { createLogger } from '../../services/kit/log.ts';
import { serve, service } from '../../services/kit/serve.ts';
import { answerSeconds, currentPatience } from '../database/patience.ts';
import { stopTestServer, withData } from '../testing/data.ts';
import { ApiKeys } from './api-keys.ts';
import { authenticateCalls, callerOf } from './authenticate-calls.ts';
import type { CallerLimits } from './caller.ts';

const noLimits: CallerLimits = { concurrentJobs: 0, queuedJobs: 0, requestsPerMinute: 0 };

afterAll(stopTestServer);

/** A service that answers with who called, and notes how long each call could still wait for the database. */
function whoIsIt(keys: ApiKeys, patience: (number | undefined)[]) {
  const answer = (context: CallContext) => {
    patience.push(currentPatience()?.left);
    return { video: { id: callerOf(context, 'read').keyId } };
  };
  const notAsked = () => {
    throw new Error('must not be called');
  };
  const implementation: ServiceImplementation<VideoServiceDefinition> = {
    createVideo: notAsked,
    createVideos: notAsked,
    remixVideo: notAsked,
    listVideos: notAsked,
    cancelVideo: notAsked,
    deleteVideo: notAsked,
    finishVideo: notAsked,
    downloadVideo: notAsked,
    listModels: notAsked,
    listUsage: notAsked,
    async getVideo(_request: unknown, context: CallContext) {
      return answer(context);
    },
    async *watchVideo({ id }, context: CallContext) {
      if (id === 'silent') {
        yield answer(context);
        await new Promise((resolve) => context.signal.addEventListener('abort', resolve));
      }
      while (!context.signal.aborted) {
        yield answer(context);
        await new Promise((resolve) => setTimeout(resolve, 20));
      }
    },
  };
  return service(VideoServiceDefinition, implementation, authenticateCalls(keys));
}

test('a key identifies its caller; unknown and rate-limited callers are rejected; revocation ends streams', async () => {
  await withData(async ({ database: { sql } }) => {
    const keys = new ApiKeys(sql);
    const patience: (number | undefined)[] = [];
    const server = await serve({
      address: '127.0.0.1:0',
      services: [whoIsIt(keys, patience)],
      log: createLogger('test', 'silent'),
      drainSeconds: 0,
    });
    const { client, close } = connect(VideoServiceDefinition, server.address);
    try {
      expect((await client.getVideo({ id: 'x' })).video?.id).toBe('');

      const { key, text } = await keys.create({ name: 'one', scopes: ['read'], limits: noLimits });
      const authorized = connect(VideoServiceDefinition, server.address, {
        metadata: { authorization: `Bearer ${text}` },
      });
      expect((await authorized.client.getVideo({ id: 'x' })).video?.id).toBe(key.id);
      // Less the time that looking up the key took.
      expect(patience.pop()).toBeLessThan(answerSeconds * 1000);
      patience.length = 0;
      const wrong = { metadata: Metadata({ authorization: 'Bearer nonsense' }) };
      await expect(client.getVideo({ id: 'x' }, wrong)).rejects.toMatchObject({
        codeName: 'UNAUTHENTICATED',
        reason: 'INVALID_API_KEY',
      });

      const { text: other } = await keys.create({ name: 'other', scopes: ['create'], limits: noLimits });
      const unfit = { metadata: Metadata({ authorization: `Bearer ${other}` }) };
      await expect(client.getVideo({ id: 'x' }, unfit)).rejects.toMatchObject({
        codeName: 'PERMISSION_DENIED',
        reason: 'MISSING_SCOPE',
      });

      const hasty = await keys.create({
        name: 'hasty',
        scopes: ['read'],
        limits: { ...noLimits, requestsPerMinute: 1 },
      });
      const once = { metadata: Metadata({ authorization: `Bearer ${hasty.text}` }) };
      await client.getVideo({ id: 'x' }, once);
      const refused = await client.getVideo({ id: 'x' }, once).catch((error) => error);
      expect(refused).toMatchObject({ codeName: 'RESOURCE_EXHAUSTED', reason: 'RATE_LIMITED' });
      expect(refused.retryAfterSeconds).toBeGreaterThan(50);

      let messages = 0;
      const busy = async () => {
        for await (const { video } of authorized.client.watchVideo({ id: 'x' })) {
          expect(video?.id).toBe(key.id);
          if (++messages === 3) {
            await keys.revoke(key.id);
          }
        }
      };
      const silent = async () => {
        for await (const _ of authorized.client.watchVideo({ id: 'silent' })) {
          silentBegun.resolve();
        }
      };
      const silentBegun = deferred();
      const silentEnd = expect(silent()).rejects.toMatchObject({ codeName: 'UNAUTHENTICATED' });
      await silentBegun.promise;
      await expect(busy()).rejects.toMatchObject({ codeName: 'UNAUTHENTICATED' });
      expect(messages).toBeGreaterThanOrEqual(3);
      // Once a stream has begun, each question has the whole time.
      expect(patience.at(-1)).toBe(answerSeconds * 1000);
      await silentEnd;
      authorized.close();
    } finally {
      close();
      await server.stop();
    }
  });
});
