import { once } from 'node:events';
import { type AddressInfo, createServer, type Server, type Socket } from 'node:net';
import { beforeEach, expect, test } from '@jest/globals';
import { exitCode } from '../../cli/exit.ts';
import { scopeOfEachTest } from '../../services/kit/testing/test-scope.ts';
import { forEachStage } from '../../services/pipeline/stages.ts';
import { startCli, startService } from '../support/cli.ts';
import { stageEnvironment } from '../support/stage-environment.ts';
import { tinyPreset, tinyPresetEnvironment } from '../support/tiny-preset.ts';

/** Accepts connections and never answers, like a host whose process hangs. */
let silent: Server;
let address: string;
const scope = scopeOfEachTest();
beforeEach(async () => {
  const sockets = new Set<Socket>();
  silent = createServer((socket) => sockets.add(socket.on('error', () => {})));
  scope.defer(() => {
    silent.close();
    for (const socket of sockets) {
      socket.destroy();
    }
  });
  await once(silent.listen(0, '127.0.0.1'), 'listening');
  address = `127.0.0.1:${(silent.address() as AddressInfo).port}`;
});

const database = () => ({ DATABASE_URL: `postgres://nobody@${address}/database` });

test.each<[string, string[], () => Record<string, string>]>([
  ['a stage', ['serve', 'decoder'], () => ({ FUSIONFRAMES_INFERENCE_ADDRESS: address })],
  ['a gateway', ['serve', 'gateway'], database],
  ['the whole mesh', ['serve'], database],
])('%s ends on SIGTERM while it starts', async (_, command, environment) => {
  const listen = ['--listen', '127.0.0.1:0'];
  const { child, finished } = startCli([...command, ...listen], {
    ...tinyPresetEnvironment,
    FUSIONFRAMES_HTTP_ADDRESS: 'off',
    ...environment(),
  });
  await once(silent, 'connection');
  child.kill('SIGTERM');
  expect(await finished).toMatchObject({ code: exitCode.ok, stdout: '' });
});

test.each([
  ['SIGINT', exitCode.interrupted],
  ['SIGTERM', exitCode.terminated],
  ['SIGHUP', exitCode.hungUp],
] as const)('generate ends on %s while its services start', async (signal, expected) => {
  const { child, finished } = startCli(['generate', 'a red circle', '--preset', tinyPreset], database());
  await once(silent, 'connection');
  child.kill(signal);
  const { code, stderr } = await finished;
  expect(stderr).toMatch(/cancelled\n$/);
  expect(code).toBe(expected);
});

test('a gateway stops while it calls stages that never answer', async () => {
  const gateway = await startService('gateway', {
    ...stageEnvironment(forEachStage(() => address)),
    FUSIONFRAMES_DRAIN_SECONDS: '0',
  });
  const headers = { 'content-type': 'application/json' };
  const body = JSON.stringify({ prompt: 'a red circle' });
  const created = await fetch(`http://${gateway.httpAddress}/v1/videos`, { method: 'POST', headers, body });
  expect(created.status).toBe(200);
  await fetch(`http://${gateway.httpAddress}/readyz`);
  expect(await gateway.stop()).toBe(exitCode.ok);
});
