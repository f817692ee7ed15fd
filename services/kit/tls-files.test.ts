import { generateKeyPairSync } from 'node:crypto';
import { rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { Status } from 'nice-grpc-common';
import { TextEncoderServiceDefinition } from '../../proto/gen/fusionframes/v1/text_encoder.ts';
import { HealthDefinition } from '../../proto/gen/grpc/health/v1/health.ts';
import { connect } from './channel.ts';
import { createLogger } from './log.ts';
import { openProcessTls } from './process-tls.ts';
import { serve, service } from './serve.ts';
import { type CertifiedKey, createAuthority, type TestAuthority, type Validity } from './testing/certificates.ts';
import { temporaryFolder } from './testing/temporary-folder.ts';
import { scopeOfEachTest } from './testing/test-scope.ts';
import { TlsFiles } from './tls-files.ts';

const log = createLogger('test', 'silent');
const gatewayName = 'spiffe://fusionframes/gateway';
const expired: Validity = { from: -7200, to: -3600 };

const scope = scopeOfEachTest();
let folder: string;
let authority: TestAuthority;
let untrusted: TestAuthority;
let gateway: CertifiedKey;
beforeAll(() => {
  authority = createAuthority();
  untrusted = createAuthority('an untrusted authority');
  gateway = authority.issue('gateway', [gatewayName]);
});
beforeEach(async () => {
  folder = temporaryFolder(scope);
});

/** Writes a set of files, each at once, as an updated secret is mounted. */
async function write(name: string, { certificate, key }: CertifiedKey, ca = authority.certificate) {
  const paths = {
    certificate: join(folder, `${name}.crt`),
    key: join(folder, `${name}.key`),
    ca: join(folder, `${name}.ca`),
  };
  for (const [path, text] of [
    [paths.certificate, certificate],
    [paths.key, key],
    [paths.ca, ca],
  ] as const) {
    await writeFile(`${path}.new`, text);
    await rename(`${path}.new`, path);
  }
  return paths;
}

async function open(name: string, pair: CertifiedKey, ca?: string): Promise<TlsFiles> {
  const files = await TlsFiles.open(await write(name, pair, ca), log, 0.02);
  scope.add(files);
  return files;
}

/** Unlike those of an authority, which shares keys between certificates. */
const strangersKey = () =>
  generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey.export({ type: 'pkcs8', format: 'pem' }) as string;

const issueServer = (validity?: Validity) => authority.issue('keyframes', ['stage.test'], validity);

async function startServer(pair = issueServer(), allowedCallers = [gatewayName]): Promise<string> {
  const encode = async () => ({ maxTokens: 7 });
  const server = await serve({
    address: '127.0.0.1:0',
    services: [service(TextEncoderServiceDefinition, { encode })],
    log,
    tls: { files: await open('server', pair), needsClient: true, allowedCallers },
  });
  scope.add(server);
  return server.address;
}

async function callAs(address: string, pair: CertifiedKey, ca?: string): Promise<number> {
  const client = connectAs(address, await open('client', pair, ca));
  return (await client.encode({ prompt: 'x' })).maxTokens;
}

function connectAs(address: string, files: TlsFiles) {
  const { client, close } = connect(TextEncoderServiceDefinition, address, {
    tls: { files, serverName: 'stage.test' },
  });
  scope.defer(close);
  return client;
}

describe('identity', () => {
  test('a caller with an allowed name is served', async () => {
    expect(await callAs(await startServer(), gateway)).toBe(7);
  });

  test('another service of the same authority is rejected with its name', async () => {
    const decoder = authority.issue('decoder', ['spiffe://fusionframes/decoder', 'decoder.test']);
    await expect(callAs(await startServer(), decoder)).rejects.toMatchObject({
      code: Status.PERMISSION_DENIED,
      message: expect.stringContaining('spiffe://fusionframes/decoder, decoder.test'),
    });
  });

  test('a name contained in another name does not match', async () => {
    const sly = authority.issue('sly', [`https://sly.test/?x=, URI:${gatewayName}`]);
    await expect(callAs(await startServer(), sly)).rejects.toMatchObject({ code: Status.PERMISSION_DENIED });
  });

  test('health answers every caller that the authorities signed', async () => {
    const address = await startServer();
    const files = await open('client', authority.issue('probe', ['probe.test']));
    const { client, close } = connect(HealthDefinition, address, { tls: { files, serverName: 'stage.test' } });
    scope.defer(close);
    expect((await client.check({ service: '' })).status).toBe(1);
  });
});

describe('a caller without a valid certificate learns why', () => {
  test.each<[string, () => Partial<CertifiedKey>]>([
    ['one from an untrusted authority', () => untrusted.issue('gateway', [gatewayName])],
    ['one that expired meanwhile', () => authority.issue('gateway', [gatewayName], expired)],
    ['none', () => ({})],
  ])('%s', async (_, issue) => {
    const { client, close } = connect(TextEncoderServiceDefinition, await startServer(), {
      tls: { ca: authority.certificate, serverName: 'stage.test', ...issue() },
    });
    scope.defer(close);
    await expect(client.encode({ prompt: 'x' })).rejects.toMatchObject({
      code: Status.UNAUTHENTICATED,
      message: expect.stringContaining('no valid certificate'),
    });
  });

  test('health is not for them either', async () => {
    const { client, close } = connect(HealthDefinition, await startServer(), {
      tls: { ca: authority.certificate, serverName: 'stage.test' },
    });
    scope.defer(close);
    await expect(client.check({ service: '' })).rejects.toMatchObject({ code: Status.UNAUTHENTICATED });
  });
});

test('no connection is made to a server of another authority, and the error says why', async () => {
  const address = await startServer();
  await expect(callAs(address, gateway, untrusted.certificate)).rejects.toMatchObject({
    code: Status.UNAVAILABLE,
    message: expect.stringMatching(/certificate/),
  });
});

describe('unusable files are reported with the reason', () => {
  test.each<[string, () => CertifiedKey, string, RegExp]>([
    ['an expired certificate', () => issueServer(expired), 'CERTIFICATE', /expired on/],
    ['a certificate of tomorrow', () => issueServer({ from: 3600, to: 7200 }), 'CERTIFICATE', /not valid before/],
    ['no certificate', () => ({ ...gateway, certificate: 'x' }), 'CERTIFICATE', /has no PEM certificate/],
    ['no key', () => ({ ...gateway, key: 'x' }), 'KEY', /has no PEM private key/],
    ['a key of another certificate', () => ({ ...gateway, key: strangersKey() }), 'KEY', /is not the key of/],
  ])('%s', async (_, issue, setting, problem) => {
    await expect(open('own', issue())).rejects.toMatchObject({
      code: Status.INVALID_ARGUMENT,
      field: `FUSIONFRAMES_TLS_${setting}`,
      message: expect.stringMatching(problem),
    });
  });

  test.each([
    ['is not a certificate', () => authority.certificate.replace(/^M.*/m, 'Mrubbish')],
    ['is cut short', () => authority.certificate.slice(0, 300)],
  ])('a second authority that %s', async (_, broken) => {
    await expect(open('own', gateway, authority.certificate + broken())).rejects.toMatchObject({
      field: 'FUSIONFRAMES_TLS_CA',
      message: expect.stringMatching(/has no PEM certificate at position 2/),
    });
  });

  test('authorities are rejected only if all of them have expired', async () => {
    const past = createAuthority('past', expired).certificate;
    await expect(open('own', gateway, past)).rejects.toMatchObject({
      field: 'FUSIONFRAMES_TLS_CA',
      message: expect.stringMatching(/expired on/),
    });
    await expect(open('own', gateway, past + authority.certificate)).resolves.toBeDefined();
  });

  test('a missing file', async () => {
    const paths = await write('own', gateway);
    await expect(TlsFiles.open({ ...paths, ca: join(folder, 'none') }, log)).rejects.toMatchObject({
      field: 'FUSIONFRAMES_TLS_CA',
      message: expect.stringContaining(join(folder, 'none')),
    });
  });

  test('incomplete settings', async () => {
    const { certificate, key } = await write('own', gateway);
    const values = { tlsCertificate: certificate, tlsKey: key, tlsCa: '', tlsAllowedCallers: '' };
    await expect(openProcessTls(values, log)).rejects.toMatchObject({ field: 'FUSIONFRAMES_TLS_CA' });
  });
});

test('rotating to another authority under traffic fails no call', async () => {
  const address = await startServer();
  const client = connectAs(address, await open('client', gateway));
  let calls = 0;
  let isOver = false;
  const traffic = (async () => {
    for (; !isOver; calls++) {
      await client.encode({ prompt: 'x' });
    }
  })();
  // A failure reaches the code below, which awaits it.
  traffic.catch(() => {});

  // As one rotates: both sides trust both authorities, then they show certificates of the new one.
  const next = createAuthority('the next');
  const both = authority.certificate + next.certificate;
  const newGateway = next.issue('gateway', [gatewayName]);
  await write('server', issueServer(), both);
  await write('client', gateway, both);
  await untilServed(address, { ca: authority.certificate, ...newGateway });
  await write('server', next.issue('keyframes', ['stage.test']), both);
  await write('client', newGateway, both);
  await untilServed(address, { ca: next.certificate, ...newGateway });

  const before = calls;
  while (calls < before + 5) {
    await setTimeout(10);
  }
  isOver = true;
  await traffic;
});

/** Opens connections until one is accepted. */
async function untilServed(address: string, tls: { ca: string } & CertifiedKey): Promise<void> {
  for (;;) {
    const { client, close } = connect(TextEncoderServiceDefinition, address, {
      tls: { ...tls, serverName: 'stage.test' },
    });
    const isServed = await client.encode({ prompt: 'x' }).then(
      () => true,
      () => false,
    );
    close();
    if (isServed) {
      return;
    }
    await setTimeout(20);
  }
}
