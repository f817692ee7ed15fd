import { expect, test } from '@jest/globals';
import { Status } from 'nice-grpc-common';
import { contentParameter } from '../pipeline/model-manifest.ts';
import { loadPreset } from '../pipeline/preset.ts';
import { ServedModel } from './served-model.ts';
import type { TritonClient } from './triton-client.ts';

const { signal } = new AbortController();

test('before work, an answer is used again; after it, the model that is loaded then counts', async () => {
  const loaded = { hash: 'first', asked: 0 };
  const triton = {
    server: { metadata: async () => ({ version: '1' }) },
    models: {
      config: async () => {
        loaded.asked++;
        return { parameters: { [contentParameter()]: { stringValue: loaded.hash } } };
      },
    },
  } as unknown as TritonClient;
  const model = new ServedModel(triton, 'decoder', loadPreset('nano'));

  const first = (await model.identifyRecent(signal))!;
  await model.confirmRecent(first, signal);
  expect(loaded.asked).toBe(1);

  loaded.hash = 'second';
  await model.confirmRecent(first, signal);
  const confirmed = model.confirm(first, signal);
  await expect(confirmed).rejects.toMatchObject({ code: Status.UNAVAILABLE, reason: 'MODEL_CHANGED' });
  expect(loaded.asked).toBe(2);

  // What was asked last is what later work begins with.
  await expect(model.confirmRecent(first, signal)).rejects.toMatchObject({ reason: 'MODEL_CHANGED' });
  await model.confirm('', signal);
  expect(loaded.asked).toBe(2);
});
