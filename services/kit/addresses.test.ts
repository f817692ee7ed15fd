import { expect, test } from '@jest/globals';
import { isListenAddress, isServerAddress, parseHostPort, withPort } from './addresses.ts';

test.each([
  ['127.0.0.1:80', { host: '127.0.0.1', port: 80 }],
  ['stage.mesh:0', { host: 'stage.mesh', port: 0 }],
  ['[::1]:65535', { host: '::1', port: 65_535 }],
  ['[::1]', undefined],
  ['::1:80', undefined],
  ['host', undefined],
  ['host:', undefined],
  [':80', undefined],
  ['host:65536', undefined],
  ['host:-1', undefined],
  ['host:8 0', undefined],
  ['http://host:80', undefined],
])('%s as host and port', (text, expected) => {
  expect(parseHostPort(text)).toEqual(expected);
});

test.each([
  ['127.0.0.1:0', true, false],
  ['stage:50051', true, true],
  ['[::1]:50051', true, true],
  ['unix:///run/stage.sock', true, true],
  ['unix://', false, false],
  ['dns:///stage:50051', false, true],
  ['dns:///stage', false, false],
  ['ipv4:10.0.0.1:1,10.0.0.2:2', false, true],
  ['ipv4:10.0.0.1:1,', false, false],
  ['ipv6:[::1]:1,[::2]:2', false, true],
  ['stage', false, false],
  ['grpc://stage:1', false, false],
  ['', false, false],
])('%s: a server may listen there %s, a client may call it %s', (text, isListen, isServer) => {
  expect([isListenAddress(text), isServerAddress(text)]).toEqual([isListen, isServer]);
});

test('the bound port replaces the requested one', () => {
  expect(withPort('[::1]:0', 8080)).toBe('[::1]:8080');
});
