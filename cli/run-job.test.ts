import { expect, jest, test } from '@jest/globals';
import type { Video } from '../gateway/client/video.ts';
import type { VideoClient } from '../gateway/client/video-client.ts';
import { runJob } from './run-job.ts';

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
