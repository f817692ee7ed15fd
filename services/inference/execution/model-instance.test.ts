import { once } from 'node:events';
import { join } from 'node:path';
import { expect, test } from '@jest/globals';
import { scopeOfEachTest } from '../../kit/testing/test-scope.ts';
import { doublingModel, folderOf } from '../testing.ts';
import { ModelInstance } from './model-instance.ts';
import type { Feed } from './session-messages.ts';
import { startThreads } from './session-threads.ts';

const scope = scopeOfEachTest();

async function start(): Promise<ModelInstance> {
  const { folder, remove } = folderOf({ 'model.onnx': doublingModel() });
  scope.defer(remove);
  const instance = await ModelInstance.start({ modelFile: join(folder, 'model.onnx'), intraOpThreads: 1 });
  scope.add(instance);
  return instance;
}

test('a closed instance leaves its thread to the next one', async () => {
  const first = await start();
  await Promise.all([first.close(), first.close()]);
  const second = await start();
  expect(second.worker.threadId).toBe(first.worker.threadId);
  const feed: Feed = {
    name: 'X',
    runtimeType: 'float32',
    dims: [1, 1],
    data: new Uint8Array(Float32Array.of(2).buffer),
  };
  const { outputs } = await second.run({ feeds: [feed], fetches: ['Y'] });
  expect(new Float32Array(outputs[0]!.data)).toEqual(Float32Array.of(4));
});

test('threads that were started before are used, the newest first', async () => {
  await startThreads(2, new AbortController().signal);
  const first = await start();
  const second = await start();
  expect(first.worker.threadId).toBe(second.worker.threadId + 1);
});

test('a thread that ended is not used again', async () => {
  const first = await start();
  await first.close();
  // Its session is closed, so no native code is cut off.
  const ended = once(first.worker, 'exit');
  void first.worker.terminate();
  await ended;
  const second = await start();
  expect(second.worker === first.worker).toBe(false);
});
