import { afterAll, expect, test } from '@jest/globals';
import { Status } from 'nice-grpc-common';
import { createLogger } from '../../services/kit/log.ts';
import { eventually } from '../../test/support/cli.ts';
import { openDatabase } from '../database/open-database.ts';
import { stopTestServer, withData } from '../testing/data.ts';
import { startTestGateway, testClient } from '../testing/gateway.ts';
import { withHttp } from '../testing/http.ts';
import { openProxy } from '../testing/proxied-database.ts';
import { startStageDoubles } from '../testing/stage-doubles.ts';

afterAll(stopTestServer);

test('a create answered with 503 on a slow database does not happen later', () =>
  withData(async ({ database: direct, objects }) => {
    const { url, proxy } = await openProxy(direct.url);
    const dataFolder = { path: '/', temporary: false, close: async () => {} };
    const database = await openDatabase({ url, dataFolder, log: createLogger('test', 'silent') });
    const stages = await startStageDoubles();
    const server = await startTestGateway({ database, objects }, stages.address);
    const gateway = testClient(server.address);
    proxy.delay(700);
    await expect(gateway.create()).rejects.toMatchObject({
      code: Status.UNAVAILABLE,
      reason: 'DATABASE_UNAVAILABLE',
    });
    proxy.delay(0);
    await eventually(async () => {
      const inProgress = await direct.sql`
        select 1 from pg_stat_activity
        where datname = current_database() and state like 'idle in transaction%' and query like '%key_loads%'`;
      return inProgress.length === 0;
    });
    expect(await direct.sql`select id from jobs`).toEqual([]);
    await gateway.create();
    gateway.close();
    await server.stop();
    await stages.stop();
    await database.close();
    await proxy.close();
  }));

test('a create with an unconfirmed commit names the id to look for and is not retried', () =>
  withHttp(async ({ data: { database }, send }) => {
    await database.sql.unsafe(`
      create function commit_slowly() returns trigger language plpgsql as $$ begin perform pg_sleep(6); return null; end $$;
      create constraint trigger commit_slowly after insert on jobs deferrable initially deferred
        for each row execute function commit_slowly();`);
    const answer = await send('/v1/videos', { method: 'POST', body: { prompt: 'a red circle' } });
    expect(answer).toMatchObject({ status: 503, json: { error: { code: 'outcome_unknown' } } });
    expect(answer.headers.get('x-should-retry')).toBe('false');
    expect(answer.headers.get('retry-after')).toBeNull();
    const [id] = /video_[0-9a-f]{32}/.exec(answer.json.error.message)!;
    await eventually(async () => (await send(`/v1/videos/${id}`)).status === 200);
  }));
