import { execFileSync } from 'node:child_process';
import { join } from 'node:path';
import { afterAll, expect, test } from '@jest/globals';
import { Status } from 'nice-grpc-common';
import { JobState } from '../../proto/gen/fusionframes/v1/video.ts';
import { deferred } from '../../services/kit/deferred.ts';
import { createLogger } from '../../services/kit/log.ts';
import { eventually } from '../../test/support/cli.ts';
import { openDataFolder } from '../data-folder.ts';
import { readPostmasterFile } from '../database/embedded/postmaster-file.ts';
import { openDatabase } from '../database/open-database.ts';
import { ApiKeys } from '../keys/api-keys.ts';
import { stopTestServer, withData } from '../testing/data.ts';
import { startTestGateway, testClient, withGateway } from '../testing/gateway.ts';
import { openProxy } from '../testing/proxied-database.ts';
import { startStageDoubles } from '../testing/stage-doubles.ts';
import { disturbedSettings, undisturbedVideo, videoOf } from '../testing/standstill.ts';

afterAll(stopTestServer);

const log = createLogger('test', 'silent');
const away = { code: Status.UNAVAILABLE, reason: 'DATABASE_UNAVAILABLE' };

/** Sends a signal to every process of the server with its data in `cluster`. */
async function signalServer(cluster: string, signal: 'STOP' | 'CONT'): Promise<void> {
  const { pid } = (await readPostmasterFile(cluster))!;
  const children = execFileSync('ps', ['-A', '-o', 'pid=,ppid='], { encoding: 'utf8' })
    .trim()
    .split('\n')
    .map((line) => line.trim().split(/ +/).map(Number))
    .flatMap(([child, parent]) => (parent === pid ? child! : []));
  for (const each of [pid, ...children]) {
    process.kill(each, `SIG${signal}`);
  }
}

async function whileStopped(cluster: string, use: () => Promise<void>): Promise<void> {
  await signalServer(cluster, 'STOP');
  await use().finally(() => signalServer(cluster, 'CONT'));
}

/** Stages whose keyframes wait at the second step until `release`. */
async function startHeldStages() {
  const [reached, release] = [deferred(), deferred()];
  const stages = await startStageDoubles({
    async keyframes(step) {
      if (step === 2) {
        reached.resolve();
        await release.promise;
      }
    },
  });
  return { reached, release, stages };
}

test('after the network drops connections, the job continues and callers are answered again', () =>
  withData(async ({ database: direct, objects }) => {
    const { url, proxy } = await openProxy(direct.url);
    const dataFolder = { path: '/', temporary: false, close: async () => {} };
    const database = await openDatabase({ url, dataFolder, log });
    const { reached, release, stages } = await startHeldStages();
    const server = await startTestGateway({ database, objects }, stages.address);
    const gateway = testClient(server.address);
    const { id } = await gateway.create(disturbedSettings);
    await reached.promise;
    proxy.silenceOpen();
    release.resolve();
    const isAnswered = () => gateway.client.getVideo({ id }).then(Boolean, () => false);
    // For good: no connection is left that would have to be missed.
    await eventually(async () => !(await Promise.all(Array.from({ length: 20 }, isAnswered))).includes(false));
    expect((await gateway.watch(id)).at(-1)!.state).toBe(JobState.JOB_STATE_SUCCEEDED);
    expect(await videoOf(gateway, id)).toBe(await undisturbedVideo());
    gateway.close();
    await server.stop();
    await stages.stop();
    await database.close();
    await proxy.close();
  }));

test('a gateway whose database went silent stops without waiting for its jobs, and another one makes them', () =>
  withData(async ({ database: direct, objects }) => {
    const { url, proxy } = await openProxy(direct.url);
    const dataFolder = { path: '/', temporary: false, close: async () => {} };
    const database = await openDatabase({ url, dataFolder, log });
    const { reached, release, stages } = await startHeldStages();
    const server = await startTestGateway({ database, objects }, stages.address, { drainSeconds: 600 });
    const gateway = testClient(server.address);
    const { id } = await gateway.create(disturbedSettings);
    const watched = gateway.watch(id).catch((error: unknown) => error);
    await reached.promise;
    proxy.silence();
    await server.stop();
    await database.close();
    expect(await watched).toMatchObject({ code: Status.UNAVAILABLE });
    gateway.close();
    await proxy.close();
    release.resolve();

    const next = await startTestGateway({ database: direct, objects }, stages.address);
    const client = testClient(next.address);
    expect((await client.watch(id)).at(-1)!.state).toBe(JobState.JOB_STATE_SUCCEEDED);
    expect(await videoOf(client, id)).toBe(await undisturbedVideo());
    client.close();
    await next.stop();
    await stages.stop();
  }));

test('an idle gateway stops while its database is silent, without running into its time limit', () =>
  withData(async ({ database: direct, objects }) => {
    const { url, proxy } = await openProxy(direct.url);
    const dataFolder = { path: '/', temporary: false, close: async () => {} };
    const database = await openDatabase({ url, dataFolder, log });
    const stages = await startStageDoubles();
    const server = await startTestGateway({ database, objects }, stages.address);
    proxy.silence();
    await server.stop();
    await database.close();
    await stages.stop();
    await proxy.close();
  }));

test('when PostgreSQL is suspended, callers get an error in time and the gateway can be stopped', () =>
  withGateway(async (gateway) => {
    const { sql } = gateway.data.database;
    const [{ cluster }] = await sql<[{ cluster: string }]>`select current_setting('data_directory') as cluster`;
    const { id } = await gateway.create();
    await gateway.watch(id);
    await whileStopped(cluster, () => expect(gateway.client.getVideo({ id })).rejects.toMatchObject(away));
    await eventually(() => gateway.client.getVideo({ id }).then(Boolean, () => false));

    const keys = new ApiKeys(sql);
    const limits = { concurrentJobs: 0, queuedJobs: 0, requestsPerMinute: 0 };
    const { text } = await keys.create({ name: 'test', scopes: ['read'], limits });
    await whileStopped(cluster, async () => {
      const authenticated = Array.from({ length: 3 }, () => keys.authenticate(`Bearer ${text}`));
      for (const outcome of await Promise.allSettled(authenticated)) {
        expect(outcome).toMatchObject({ status: 'rejected', reason: away });
      }
      await gateway.server.stop();
    });
    await eventually(() => keys.authenticate(`Bearer ${text}`).then(Boolean, () => false));
  }));

test('a suspended embedded PostgreSQL can be closed', async () => {
  const dataFolder = await openDataFolder('');
  const database = await openDatabase({ url: '', dataFolder, log });
  const cluster = join(dataFolder.path, 'postgres', 'cluster');
  await signalServer(cluster, 'STOP');
  await database.close();
  expect(await readPostmasterFile(cluster)).toBeUndefined();
  await dataFolder.close();
});
