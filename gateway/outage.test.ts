import { afterAll, expect, test } from '@jest/globals';
import { Status } from 'nice-grpc-common';
import { pino } from 'pino';
import { JobState } from '../proto/gen/fusionframes/v1/video.ts';
import { deferred } from '../services/kit/deferred.ts';
import { createLogger } from '../services/kit/log.ts';
import { eventually } from '../test/support/cli.ts';
import { openDatabase } from './database/open-database.ts';
import { stopTestServer, withData } from './testing/data.ts';
import { startTestGateway, testClient } from './testing/gateway.ts';
import { openProxy } from './testing/proxied-database.ts';
import { startStageDoubles } from './testing/stage-doubles.ts';

afterAll(stopTestServer);

interface Line {
  level: number;
  msg: string;
}

const warning = 40;

test('an outage of PostgreSQL is logged once, and its end once; the job continues', () =>
  withData(async ({ database: direct, objects }) => {
    const lines: Line[] = [];
    const log = pino({ level: 'info' }, { write: (line: string) => lines.push(JSON.parse(line)) });
    const { url, proxy } = await openProxy(direct.url);
    const dataFolder = { path: '/', temporary: false, close: async () => {} };
    const database = await openDatabase({ url, dataFolder, log: createLogger('test', 'silent') });
    const [entered, release] = [deferred(), deferred()];
    const stages = await startStageDoubles({
      keyframes: async (step) => {
        if (step === 2) {
          entered.resolve();
          await release.promise;
        }
      },
    });
    const server = await startTestGateway({ database, objects }, stages.address, { log });
    const gateway = testClient(server.address);
    // A job that ends during the outage.
    const { id } = await gateway.create();
    await entered.promise;
    const logged = (message: string) => lines.filter(({ msg }) => msg.startsWith(message));

    await proxy.close();
    release.resolve();
    await eventually(() => logged('the database is unreachable').length > 0);
    // A second beat fails, too.
    await new Promise((resolve) => setTimeout(resolve, 3000));
    await expect(gateway.client.getVideo({ id })).rejects.toMatchObject({ code: Status.UNAVAILABLE });
    await proxy.open();
    await eventually(() => logged('the database is back').length > 0);

    expect((await gateway.watch(id)).at(-1)).toMatchObject({ state: JobState.JOB_STATE_SUCCEEDED, attempt: 1 });
    const aboutCalls = (line: Line) => 'method' in line;
    expect(lines.filter((line) => line.level >= warning && !aboutCalls(line))).toEqual(
      logged('the database is unreachable'),
    );
    expect(logged('the database is')).toHaveLength(2);
    gateway.close();
    await server.stop();
    await stages.stop();
    await database.close();
    await proxy.close();
  }));
