import { expect, jest, test } from '@jest/globals';
import type { Video } from '../gateway/client/video.ts';
import type { VideoClient } from '../gateway/client/video-client.ts';
import { errorText } from './exit.ts';
import { finished, runJob } from './run-job.ts';

test('a failed video shows the name of the fault, as the gateway does', () => {
  const failure = {
    code: 'INTERNAL',
    stage: 'decoder',
    message: 'sent one frame',
    reason: 'INVALID_RESPONSE',
    attempt: 1,
  };
  const fault = () => {
    try {
      return finished({ id: 'v', state: 'failed', failure } as Video);
    } catch (error) {
      return errorText(error);
    }
  };
  expect(fault()).toBe('decoder: sent one frame (INVALID_RESPONSE)');
});

test('a job whose gateway goes away for a while says so and continues', async () => {
  const video = { id: 'v', state: 'succeeded', warnings: [] } as unknown as Video;
  const client = {
    create: async () => video,
    async *watch(_, { onAbsence } = {}) {
      onAbsence?.();
      yield video;
    },
  } as Pick<VideoClient, 'create' | 'watch'> as VideoClient;
  const write = jest.spyOn(process.stderr, 'write').mockReturnValue(true);
  expect(await runJob(client, { prompt: 'cat' }, new AbortController().signal, () => {})).toBe(video);
  expect(write.mock.calls).toEqual([['cannot reach the gateway; retrying for a minute\n']]);
});
