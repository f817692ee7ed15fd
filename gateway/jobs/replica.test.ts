import { afterAll, expect, test } from '@jest/globals';
import { createLogger } from '../../services/kit/log.ts';
import { eventually } from '../../test/support/cli.ts';
import { stopTestServer, withData } from '../testing/data.ts';
import { Replica } from './replica.ts';
import { channels } from './store/channels.ts';
import { listGateways, setGatewayMode } from './store/gateways.ts';

afterAll(stopTestServer);

test('of two live gateways with one name the second drains until the first has stopped; a crashed one frees its name', () =>
  withData(async ({ database: { sql } }) => {
    const errors: string[] = [];
    const log = createLogger('test', 'silent');
    log.error = (_: unknown, message?: string) => void errors.push(message ?? '');
    const start = async () => {
      const replica = new Replica({ sql, name: 'one', concurrentJobs: 1, log });
      await replica.start(() => {});
      return replica;
    };
    /** Has every replica report. */
    const report = () => sql.notify(channels.gateways, '');
    const untilMode = (replica: Replica, mode: string) =>
      eventually(async () => {
        await report();
        return replica.mode === mode;
      });
    const [first, second] = [await start(), await start()];
    // It may have replaced one that crashed a moment ago.
    expect(second.mode).toBe('active');
    await untilMode(second, 'draining');
    expect(first.mode).toBe('active');
    expect(errors).toEqual([
      'another gateway has this name, so this one starts no jobs: give each its own FUSIONFRAMES_GATEWAY_NAME',
    ]);
    expect(await listGateways(sql)).toMatchObject([{ name: 'one', mode: 'active' }]);

    await first.stop(true);
    await untilMode(second, 'active');
    await sql.begin((transaction) => setGatewayMode(transaction, 'one', 'paused'));
    await untilMode(second, 'paused');
    await second.stop(true);
    const third = await start();
    expect(third.mode).toBe('paused');
    const isThirds = async () => (await sql`select from gateways where owner = ${third.owner}`).length === 1;
    expect(await isThirds()).toBe(true);

    // As after a crash, and after the database's clock was set back.
    for (const age of ['9 seconds', '-1 hour']) {
      await sql`update gateways set owner = 'crashed', seen_at = now() - ${age}::interval`;
      await eventually(async () => {
        await report();
        return isThirds();
      });
    }
    expect(errors).toHaveLength(1);
    await third.stop(true);
  }));
