import { expect, test } from '@jest/globals';
import type { FastifyRequest } from 'fastify';
import { refuseForeignOrigin } from './guard-origin.ts';
import { parseProxies } from './trusted-proxies.ts';

/** Why a request with these headers, perhaps of a trusted proxy, is refused; empty if it is not. */
function refusal(headers: Record<string, string>, trusted = false): string {
  const request = { headers, socket: { remoteAddress: '192.0.2.7' } } as unknown as FastifyRequest;
  try {
    refuseForeignOrigin(request, parseProxies(trusted ? '192.0.2.7' : '')!);
    return '';
  } catch (error) {
    return (error as Error).message;
  }
}

test('an origin is compared with the requested host, as a trusted proxy reports it', () => {
  const proxy = { 'x-forwarded-host': 'video.example.com' };
  const forwarded = { ...proxy, 'x-forwarded-port': '8443', 'x-forwarded-proto': 'https' };
  const site = 'https://video.example.com';
  const cases: [string, Record<string, string>, boolean, 'trusted'?][] = [
    [site, { host: 'video.example.com:443' }, true],
    [site, { host: 'Video.Example.com' }, true],
    [site, { host: 'video.example.com.' }, true],
    [`${site}.`, { host: 'video.example.com:443' }, true],
    ['http://video.example.com', { host: 'video.example.com:80' }, true],
    ['http://video.example.com', { host: 'video.example.com:443' }, false],
    [site, { host: 'video.example.com:80' }, false],
    [site, { host: 'video.example.com:8443' }, false],
    [site, { host: 'elsewhere.example@video.example.com' }, false],
    [site, { host: '' }, false],
    [`${site}:8443`, { ...forwarded, 'x-forwarded-host': 'video.example.com:443' }, false, 'trusted'],
    ['http://[::1]:8080', { host: '[0:0::1]:8080' }, true],
    // Not from a trusted proxy.
    [site, { ...proxy, host: '127.0.0.1:8080' }, false],
    [site, { ...proxy }, true, 'trusted'],
    [site, { forwarded: 'for=192.0.2.1;host="Video.example.com:443";proto=https' }, true, 'trusted'],
    [`${site}:8443`, { ...forwarded }, true, 'trusted'],
    [`${site}:8443`, { 'x-forwarded-port': '8443', host: 'video.example.com' }, true, 'trusted'],
    [`${site}:9443`, { ...forwarded }, false, 'trusted'],
    [`${site}:8443`, { ...forwarded, 'x-forwarded-host': 'video.example.com:9443' }, false, 'trusted'],
    ['http://video.example.com:8443', { ...forwarded }, false, 'trusted'],
    // Behind another proxy, which ends TLS.
    [site, { ...proxy, 'x-forwarded-port': '80', 'x-forwarded-proto': 'http' }, true, 'trusted'],
  ];
  for (const [origin, headers, isAllowed, trusted] of cases) {
    const isRefused = refusal({ origin, ...headers }, trusted !== undefined) !== '';
    expect([origin, headers, !isRefused]).toEqual([origin, headers, isAllowed]);
  }
});

test('a refusal says what was compared', () => {
  const origin = 'https://video.example.com:9443';
  const headers = {
    origin,
    'x-forwarded-host': 'example.com',
    'x-forwarded-port': '8443',
    'x-forwarded-proto': 'https',
  };
  expect(refusal({ host: '127.0.0.1:8080', ...headers })).toContain(
    `origin ${origin} are not allowed: it was compared with 127.0.0.1:8080 of Host. A proxy`,
  );
  expect(refusal(headers, true)).toContain(
    'compared with example.com of X-Forwarded-Host and the forwarded protocol https and the forwarded port 8443. A proxy',
  );
});
