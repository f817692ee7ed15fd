import { once } from 'node:events';
import { expect, test } from '@jest/globals';
import { startRuntimeThread } from './runtime-thread.ts';

test.each([
  [undefined, '1'],
  ['0', '0'],
])("with %s in the environment, the runtime's telemetry variable is %s", async (given, expected) => {
  delete process.env.ORT_DISABLE_TELEMETRY;
  if (given !== undefined) {
    process.env.ORT_DISABLE_TELEMETRY = given;
  }
  const thread = startRuntimeThread(new URL('data:text/javascript,'));
  expect(process.env.ORT_DISABLE_TELEMETRY).toBe(expected);
  await once(thread, 'exit');
});
