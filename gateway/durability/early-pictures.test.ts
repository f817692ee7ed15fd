import { afterAll, describe, expect, test } from '@jest/globals';
import { Status } from 'nice-grpc-common';
import { JobState, VideoFile } from '../../proto/gen/fusionframes/v1/video.ts';
import { deferred } from '../../services/kit/deferred.ts';
import { FusionError } from '../../services/kit/errors.ts';
import { eventually } from '../../test/support/cli.ts';
import { stopTestServer } from '../testing/data.ts';
import { withGateway } from '../testing/gateway.ts';

afterAll(stopTestServer);

describe('early pictures', () => {
  test('are available while the next stage runs', () => {
    const reached = deferred();
    const release = deferred();
    return withGateway(
      async (gateway) => {
        const { id } = await gateway.create({}, '', { previews: true });
        await reached.promise;
        await eventually(async () => {
          const { video } = await gateway.client.getVideo({ id });
          return video!.files.length === 2;
        });
        const { video } = await gateway.client.getVideo({ id });
        expect(video!.state).toBe(JobState.JOB_STATE_RUNNING);
        expect(video!.files.map(({ file }) => file)).toEqual([
          VideoFile.VIDEO_FILE_STORYBOARD,
          VideoFile.VIDEO_FILE_PREVIEW,
        ]);
        for (const { file, bytes } of video!.files) {
          let received = 0n;
          for await (const { data } of gateway.client.downloadVideo({ id, file })) {
            received += BigInt(data.length);
          }
          expect(received).toBe(bytes);
        }
        release.resolve();
        const end = (await gateway.watch(id)).at(-1)!;
        expect(end.files).toHaveLength(5);
      },
      {
        hooks: {
          async interpolation() {
            reached.resolve();
            await release.promise;
          },
        },
      },
    );
  });

  test('do not fail the job if they cannot be made', () =>
    withGateway(
      async (gateway) => {
        const { id } = await gateway.create({}, '', { previews: true });
        const end = (await gateway.watch(id)).at(-1)!;
        expect(end).toMatchObject({ state: JobState.JOB_STATE_SUCCEEDED, attempt: 1 });
        expect(end.files).toHaveLength(4);
      },
      {
        hooks: {
          async decoder(_, __, total) {
            if (total < 57) {
              throw new FusionError(Status.INTERNAL, 'no preview today');
            }
          },
        },
      },
    ));
});
