import { expect, test } from '@jest/globals';
import { eventually } from '../../test/support/cli.ts';
import { TcpProxy } from '../../test/support/tcp-proxy.ts';
import { scopeOfEachTest } from '../kit/testing/test-scope.ts';
import { tritonTensor } from './tensors/triton-tensor.ts';
import { startRecordedModels, type TestTriton } from './testing.ts';
import { TritonClient } from './triton-client.ts';

const scope = scopeOfEachTest();

const model = 'bf16_identity';
const short = tritonTensor('BF16', [2], Uint16Array.of(1, 2));
/** Its answer has 200 kB. */
const long = tritonTensor(
  'BF16',
  [100_000],
  Uint16Array.from({ length: 100_000 }, (_, index) => index % 1000),
);

/** Requests that a server has run. */
async function executed({ client }: TestTriton): Promise<number> {
  const [statistics] = await client.models.statistics(model);
  return Number(statistics!.executionCount);
}

test('if one of two servers is silent, its calls are repeated on the other, and further ones avoid it', async () => {
  const start = () => scope.open(() => startRecordedModels({ modelControl: 'explicit', loadModels: [model] }));
  const [proxied, direct] = await Promise.all([start(), start()]);
  const proxy = await TcpProxy.start({ host: '127.0.0.1', port: Number(proxied.address.split(':')[1]) });
  scope.defer(() => proxy.close());
  proxy.silenceAfter(50_000);
  const client = new TritonClient({
    address: `ipv4:127.0.0.1:${proxy.port},${direct.address}`,
    keepaliveSeconds: 1,
    sharedMemory: 'off',
  });
  scope.defer(() => client.close());
  const run = (X: typeof short, repeat: boolean) =>
    // Two keepalive intervals and time to spare: without pings, only this deadline would end a call.
    client.inference.run({ model, inputs: { X } }, { repeat, timeoutSeconds: 20 });
  await eventually(async () => {
    await run(short, true);
    return (await executed(proxied)) > 0 && (await executed(direct)) > 0;
  });
  const before = [await executed(proxied), await executed(direct)] as const;

  // One call for each; the proxied server's answer breaks off in the middle.
  const answers = Promise.all([run(long, true), run(long, true)]);
  await eventually(async () => (await executed(proxied)) === before[0] + 1);
  proxy.silence();
  for (const { outputs } of await answers) {
    expect(outputs.Y).toEqual(long);
  }
  expect(await executed(direct)).toBe(before[1] + 2);

  for (let call = 0; call < 6; call++) {
    await run(short, false);
  }
  expect([await executed(proxied), await executed(direct)]).toEqual([before[0] + 1, before[1] + 8]);

  // A server that answers again is called again.
  proxy.pass();
  proxy.reset();
  await eventually(async () => {
    await run(short, true);
    return (await executed(proxied)) > before[0] + 1;
  });
}, 60_000);
