import { X509Certificate } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { expect, test } from '@jest/globals';
import { Status } from 'nice-grpc-common';
import { FusionError } from './errors.ts';
import { reasonOf } from './reason-of.ts';

async function errorOf(call: () => unknown): Promise<unknown> {
  try {
    return await call();
  } catch (error) {
    return error;
  }
}

function listen(port: number) {
  return new Promise<number>((resolve, reject) => {
    const server = createServer().unref().once('error', reject);
    server.listen(port, '127.0.0.1', () => resolve((server.address() as { port: number }).port));
  });
}

test.each<[string, () => unknown, string]>([
  ['a missing file', () => readFile('/nowhere/x'), 'no such file or directory'],
  ['a folder', () => readFile('/'), 'illegal operation on a directory'],
  ['a certificate that is none', () => new X509Certificate('x'), 'no start line'],
  ['a used port', async () => listen(await listen(0)), 'address already in use'],
  ['fetch without a server', () => fetch('http://127.0.0.1:10'), 'connection refused'],
  ['fetch of an invalid URL', () => fetch('http://['), 'Invalid URL'],
  ['JSON', () => JSON.parse('{'), expect.stringContaining('JSON') as unknown as string],
])('of %s', async (_, call, reason) => {
  expect(reasonOf(await errorOf(call))).toEqual(reason);
});

test('of errors that wrap others', () => {
  const refused = Object.assign(new Error('connect ECONNREFUSED ::1:80'), { code: 'ECONNREFUSED' });
  expect(reasonOf(new Error('fetch failed', { cause: refused }))).toBe('connection refused');
  expect(reasonOf(new AggregateError([refused, refused]))).toBe('connection refused');
  expect(reasonOf(new Error('No address added: [listen EACCES: permission denied 0.0.0.0:80]'))).toBe(
    'permission denied',
  );
});

test('an error of our own keeps its message, whatever caused it', () => {
  const error = new FusionError(Status.UNAVAILABLE, 'ENOENT stays', { cause: new Error('inner') });
  expect(reasonOf(error)).toBe('ENOENT stays');
  expect(reasonOf('text')).toBe('text');
});
