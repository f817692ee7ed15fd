import { afterAll, describe, expect, test } from '@jest/globals';
import { Status } from 'nice-grpc-common';
import { JobState, Stage } from '../../proto/gen/fusionframes/v1/video.ts';
import { FusionError } from '../../services/kit/errors.ts';
import type { ObjectStore } from '../storage/object-store.ts';
import { stopTestServer, type TestData, withData } from '../testing/data.ts';
import { startTestGateway, testClient } from '../testing/gateway.ts';
import { startStageDoubles } from '../testing/stage-doubles.ts';

afterAll(stopTestServer);

describe('an object store that fails', () => {
  function failing(data: TestData, error: FusionError, failures: number, part: string): TestData {
    let left = failures;
    const { objects } = data;
    const put: ObjectStore['put'] = async (key, body, options) => {
      if (key.includes(part) && left-- > 0) {
        throw error;
      }
      return objects.put(key, body, options);
    };
    return {
      ...data,
      objects: {
        put,
        open: (key, range) => objects.open(key, range),
        removeAll: (prefix) => objects.removeAll(prefix),
        close: () => objects.close(),
      },
    };
  }

  const full = new FusionError(Status.RESOURCE_EXHAUSTED, 'no space left on the disk', { reason: 'DISK_FULL' });
  const refusal = new FusionError(Status.FAILED_PRECONDITION, 'the key was revoked', { reason: 'STORAGE_REFUSED' });
  const away = new FusionError(Status.UNAVAILABLE, 'the bucket is away');

  test.each([
    ['results', Stage.STAGE_KEYFRAMES, 'keyframes'],
    ['files', Stage.STAGE_DECODER, 'video.mp4'],
  ] as const)('because its disk stays full (%s): the job fails with that reason', (_, stage, part) =>
    withData(async (data) => {
      const stages = await startStageDoubles();
      const never = failing(data, full, Number.POSITIVE_INFINITY, part);
      const server = await startTestGateway(never, stages.address, { stageAttempts: 2 });
      const gateway = testClient(server.address);
      const { id } = await gateway.create();
      expect((await gateway.watch(id)).at(-1)).toMatchObject({
        state: JobState.JOB_STATE_FAILED,
        failure: {
          code: 'RESOURCE_EXHAUSTED',
          stage,
          reason: 'no space left on the disk; the gateway began the stage 2 times',
          attempt: 2,
        },
        files: [],
      });
      expect(await data.objectKeys(() => false)).toEqual([]);
      gateway.close();
      await server.stop();
      await stages.stop();
    }),
  );

  test.each([
    ['away', away],
    ['full', full],
    ['closed to us', refusal],
  ])('because it is %s for a while: the job succeeds', (_, error) =>
    withData(async (data) => {
      const stages = await startStageDoubles();
      const server = await startTestGateway(failing(data, error, 2, 'interpolation'), stages.address);
      const gateway = testClient(server.address);
      const { id } = await gateway.create();
      expect((await gateway.watch(id)).at(-1)).toMatchObject({ state: JobState.JOB_STATE_SUCCEEDED, attempt: 3 });
      gateway.close();
      await server.stop();
      await stages.stop();
    }),
  );
});
