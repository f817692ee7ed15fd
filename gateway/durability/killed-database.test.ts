import { afterAll, expect, test } from '@jest/globals';
import { Status } from 'nice-grpc-common';
import { JobState, type Video } from '../../proto/gen/fusionframes/v1/video.ts';
import { deferred } from '../../services/kit/deferred.ts';
import type { FusionError } from '../../services/kit/errors.ts';
import { eventually } from '../../test/support/cli.ts';
import { readPostmasterFile } from '../database/embedded/postmaster-file.ts';
import { stopTestServer } from '../testing/data.ts';
import { withGateway } from '../testing/gateway.ts';
import { disturbedSettings, standstillOnce } from '../testing/standstill.ts';

afterAll(stopTestServer);

function isAboutDatabase({ code, message }: FusionError): boolean {
  return code === Status.UNAVAILABLE && message.includes('database');
}

test('when PostgreSQL is killed, callers see only UNAVAILABLE and the job continues where it was', () => {
  const release = deferred();
  const reached = deferred();
  const { hooks, begun } = standstillOnce(undefined);
  return withGateway(
    async (gateway) => {
      const { id } = await gateway.create(disturbedSettings);
      await reached.promise;
      const watching = deferred();
      const seen: Video[] = [];
      const watch = (async () => {
        for await (const { video } of gateway.client.watchVideo({ id })) {
          seen.push(video!);
          watching.resolve();
        }
      })();
      await watching.promise;
      const [{ folder }] = await gateway.data.database.sql<[{ folder: string }]>`
        select current_setting('data_directory') as folder`;
      const { pid } = (await readPostmasterFile(folder))!;
      process.kill(pid, 'SIGKILL');
      const heard: unknown[] = [];
      await eventually(async () => {
        const answer = await gateway.client.getVideo({ id }).catch((error: FusionError) => error);
        const isBack = ![undefined, pid].includes((await readPostmasterFile(folder))?.pid);
        heard.push(answer instanceof Error && !isAboutDatabase(answer) ? answer : undefined);
        return isBack && !(answer instanceof Error);
      });
      // As many responses as there was time for, none of them wrong.
      expect(heard.filter(Boolean)).toEqual([]);
      release.resolve();
      await watch;
      expect(seen.at(-1)).toMatchObject({ state: JobState.JOB_STATE_SUCCEEDED, attempt: 1 });
      expect(begun).toEqual({ encode: 1, keyframes: 1, interpolation: 1, decoder: 1 });
      const numbers = await gateway.data.database.sql<{ number: number }[]>`
        select number from job_events where job_id = ${id} order by number`;
      expect(numbers.map(({ number }) => number)).toEqual(numbers.map((_, index) => index + 1));
    },
    {
      hooks: {
        ...hooks,
        async interpolation(step, signal) {
          reached.resolve();
          await release.promise;
          await hooks.interpolation!(step, signal);
        },
      },
    },
  );
});
