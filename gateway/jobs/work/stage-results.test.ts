import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, expect, test } from '@jest/globals';
import { openObjectStore } from '../../storage/open-object-store.ts';
import { loadResult } from './stage-results.ts';

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
