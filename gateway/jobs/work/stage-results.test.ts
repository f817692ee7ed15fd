import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { Readable } from 'node:stream';
import { afterEach, expect, test } from '@jest/globals';
import { withTemporaryFolder } from '../../../services/kit/testing/temporary-folder.ts';
import { tensor } from '../../../services/pipeline/tensor.ts';
import type { ObjectStore } from '../../storage/object-store.ts';
import { openObjectStore } from '../../storage/open-object-store.ts';
import { loadResult, loadResultPatiently, saveResult } from './stage-results.ts';

const environment = { ...process.env };

afterEach(() => {
  process.env = { ...environment };
});

test('a store that fails while a result is read is worth another attempt', async () => {
  const server = createServer(({ url }, response) => {
    if (url?.includes('list-type')) {
      response.end('<?xml version="1.0"?><ListBucketResult></ListBucketResult>');
      return;
    }
    response.writeHead(200, { 'content-length': '1000' });
    response.write('the first bytes', () => response.destroy());
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  process.env.AWS_ENDPOINT_URL_S3 = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  process.env.AWS_ACCESS_KEY_ID = 'S3RVER';
  process.env.AWS_SECRET_ACCESS_KEY = 'S3RVER';
  const store = await openObjectStore('s3://videos', { path: '/nowhere', temporary: false, close: async () => {} });
  try {
    await expect(loadResult(store, 'keyframes', { key: 'a', bytes: 1000, sha256: '' })).rejects.toMatchObject({
      codeName: 'UNAVAILABLE',
      reason: 'STORAGE_UNAVAILABLE',
    });
  } finally {
    await store.close();
    await new Promise((resolve) => server.close(resolve));
  }
});

test('a result is read again if the store gives damaged bytes once', () =>
  withTemporaryFolder(async (folder) => {
    const store = await openObjectStore(folder, { path: folder, temporary: true, close: async () => {} });
    const { signal } = new AbortController();
    const latents = tensor('float32', [2], Float32Array.of(1, 2));
    const stored = await saveResult(store, { id: 'job', attempt: 1 }, 'keyframes', { latents }, false, signal);
    let reads = 0;
    const lying: ObjectStore = {
      put: (...given) => store.put(...given),
      open: async (...given) => {
        const opened = await store.open(...given);
        return reads++ === 0 ? { ...opened, stream: Readable.from(Buffer.alloc(opened.bytes)) } : opened;
      },
      removeAll: (prefix) => store.removeAll(prefix),
      close: () => store.close(),
    };
    const tensors = await loadResultPatiently(lying, 'keyframes', stored, signal);
    expect([tensors.get('latents')?.data, reads]).toEqual([latents.data, 2]);
  }));
