import { afterEach, expect, test } from '@jest/globals';
import { Status } from 'nice-grpc-common';
import { freePorts } from '../../../test/support/free-ports.ts';
import { setReadiness } from '../readiness.ts';
import { connectWhileBusy } from '../testing/connect-while-busy.ts';
import { scopeOfEachTest } from '../testing/test-scope.ts';
import { type MonitorOptions, startMonitor } from './monitor.ts';

const scope = scopeOfEachTest();
afterEach(() => setReadiness(() => false));

async function start(metrics?: MonitorOptions['metrics']): Promise<string> {
  const address = `127.0.0.1:${await freePorts(1)}`;
  scope.add(await startMonitor({ address, metrics }));
  return address;
}

const statusOf = async (address: string, path: string) => (await fetch(`http://${address}${path}`)).status;

test('a process is alive from the start, and ready once it reports so', async () => {
  const address = await start();
  expect(await statusOf(address, '/healthz')).toBe(200);
  expect(await statusOf(address, '/readyz')).toBe(503);
  setReadiness(() => true);
  expect(await statusOf(address, '/readyz')).toBe(200);
  setReadiness(() => false);
  expect(await statusOf(address, '/readyz')).toBe(503);
  expect(await statusOf(address, '/healthz')).toBe(200);
});

test('it serves metrics only if they are enabled', async () => {
  const without = await start();
  expect(await statusOf(without, '/metrics')).toBe(404);
  const address = await start((_, response) => void response.end('metrics'));
  expect(await (await fetch(`http://${address}/metrics?x=1`)).text()).toBe('metrics');
  expect(await statusOf(address, '/')).toBe(404);
});

test('probes connect behind hundreds of clients', async () => {
  expect(await connectWhileBusy(await start(), 700)).toBe(true);
});

test('an invalid or occupied address is reported with its setting', async () => {
  const field = 'FUSIONFRAMES_METRICS_ADDRESS';
  for (const address of ['9464', '127.0.0.1:0', '127.0.0.1:65536', '127.0.0.1:x', '192.0.2.1:9464']) {
    const refused = startMonitor({ address, metrics: undefined });
    await expect(refused).rejects.toMatchObject({ code: Status.INVALID_ARGUMENT, field });
  }
  const taken = startMonitor({ address: await start(), metrics: undefined });
  await expect(taken).rejects.toMatchObject({ code: Status.UNAVAILABLE, field });
});
