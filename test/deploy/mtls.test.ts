import { spawnSync } from 'node:child_process';
import { X509Certificate } from 'node:crypto';
import { readFile, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { Status } from 'nice-grpc-common';
import { parseAllDocuments } from 'yaml';
import { newSecret } from '../../gateway/keys/api-key.ts';
import { stopTestServer, withData } from '../../gateway/testing/data.ts';
import { TextEncoderServiceDefinition } from '../../proto/gen/fusionframes/v1/text_encoder.ts';
import { GRPCInferenceServiceDefinition } from '../../proto/gen/grpc_service.ts';
import { connect } from '../../services/kit/channel.ts';
import { deferred } from '../../services/kit/deferred.ts';
import { packageRoot } from '../../services/kit/package-root.ts';
import { createAuthority, type TestAuthority } from '../../services/kit/testing/certificates.ts';
import { withTemporaryFolder } from '../../services/kit/testing/temporary-folder.ts';
import type { ClientTls } from '../../services/kit/tls.ts';
import { stageNames } from '../../services/pipeline/stages.ts';
import { eventually } from '../support/cli.ts';
import { DeployedMesh } from './deployed-mesh.ts';
import { Image, type Running } from './image.ts';
import { canRender, type Manifest, renderOverlay, whereRendered } from './rendered.ts';

const manifests = renderOverlay('laptop-mtls');
const certificates = manifests.filter(({ kind }) => kind === 'Certificate');

whereRendered('the containers of an overlay with mTLS, as processes on one machine', () => {
  const key = newSecret().text;
  let image: Image;
  let mesh: DeployedMesh;
  let secrets: Map<string, Record<string, string>>;
  let running: Running[];
  let authorities: Map<string, TestAuthority>;
  const over = deferred();
  let database: Promise<void>;

  beforeAll(async () => {
    image = await Image.create();
    ({ secrets, authorities } = issueAll());
    secrets.set('fusionframes-api-key', { key: `${key}\n` });
    await new Promise<void>((resolve, reject) => {
      database = withData(async ({ database: { url } }) => {
        secrets.set('fusionframes-database', { url: `${url}\n` });
        resolve();
        await over.promise;
      });
      database.catch(reject);
    });
    mesh = await DeployedMesh.create(image, manifests, secrets);
    await (await mesh.start('models')).serving;
  });
  afterAll(async () => {
    await image.remove();
    over.resolve();
    await database;
    await stopTestServer();
  });

  test('they start in any order: alive immediately, ready when their dependencies are', async () => {
    running = await Promise.all([...stageNames, 'gateway'].map((name) => mesh.start(name)));
    await eventually(async () => (await mesh.probe('keyframes', 'livenessProbe')) === 200);
    expect(await mesh.probe('keyframes', 'startupProbe')).toBe(503);
    expect(await mesh.probe('keyframes', 'readinessProbe')).toBe(503);
    running.push(await mesh.start('inference'));
    await Promise.all(running.map(({ serving }) => serving));
    for (const name of [...stageNames, 'gateway', 'inference']) {
      for (const probe of ['startupProbe', 'livenessProbe', 'readinessProbe'] as const) {
        expect({ name, probe, status: await mesh.probe(name, probe) }).toEqual({ name, probe, status: 200 });
      }
    }
  });

  test('they make a video for a caller that trusts their authority', async () => {
    const video = join(image.folder, 'video.mp4');
    const ca = join(image.folder, 'ca.crt');
    await writeFile(ca, secrets.get('mesh-ca')!['tls.crt']!);
    const options = [
      '--address',
      mesh.address('gateway', 50050),
      '--steps',
      '1',
      '--interpolation-steps',
      '1',
      '--output',
      video,
    ];
    await image.start(['generate', 'a red circle', ...options], { FUSIONFRAMES_TLS_CA: ca, FUSIONFRAMES_API_KEY: key })
      .serving;
    expect((await stat(video)).size).toBeGreaterThan(1000);
  });

  test('Prometheus is still answered', async () => {
    const metrics = await Promise.all(
      mesh.names
        .filter((name) => name !== 'models')
        .map(async (name) => (await fetch(`${mesh.monitor(name)}/metrics`)).text()),
    );
    expect(metrics.filter((text) => !/^rpc_(server|client)_call_duration_count/m.test(text))).toEqual([]);
  });

  const as = (secret: string, ca: string): ClientTls => {
    const held = secrets.get(secret)!;
    return { ca: secrets.get(ca)!['tls.crt']!, certificate: held['tls.crt']!, key: held['tls.key']! };
  };
  const callStage = (tls?: ClientTls) => {
    const { client, close } = connect(TextEncoderServiceDefinition, mesh.address('text-encoder', 50051), {
      ...(tls && { tls }),
    });
    return client.encode({ prompt: 'x' }).finally(close);
  };
  const callInference = (tls?: ClientTls) => {
    const { client, close } = connect(GRPCInferenceServiceDefinition, mesh.address('inference', 8001), {
      ...(tls && { tls }),
    });
    return client.serverReady({}).finally(close);
  };

  test('only the gateway may call a stage', async () => {
    await expect(callStage(as('gateway-tls', 'stages-ca'))).resolves.toBeDefined();
    await expect(callStage(as('inference-tls', 'stages-ca'))).rejects.toMatchObject({
      code: Status.PERMISSION_DENIED,
      message: expect.stringContaining('spiffe://fusionframes/inference'),
    });
    await expect(callStage(as('decoder-tls', 'stages-ca'))).rejects.toMatchObject({ code: Status.UNAUTHENTICATED });
  });

  test('only stages may call inference', async () => {
    await expect(callInference(as('decoder-tls', 'mesh-ca'))).resolves.toMatchObject({ ready: true });
    await expect(callInference(as('gateway-tls', 'mesh-ca'))).rejects.toMatchObject({ code: Status.UNAUTHENTICATED });
    const unknown = authorities.get('stages')!.issue('stray', ['spiffe://fusionframes/stray']);
    const tls = { ca: secrets.get('mesh-ca')!['tls.crt']!, ...unknown };
    await expect(callInference(tls)).rejects.toMatchObject({ code: Status.PERMISSION_DENIED });
  });

  test('batch statistics are served to a stage certificate', async () => {
    const held = { ...secrets.get('decoder-tls')!, 'ca.crt': secrets.get('mesh-ca')!['tls.crt']! };
    const file = (name: string) => join(image.folder, `measure-${name}`);
    await Promise.all(Object.entries(held).map(([name, text]) => writeFile(file(name), text)));
    const measure = ['models', 'measure', mesh.address('inference', 8001), '--output', file('measured.json')];
    await image.start(measure, {
      FUSIONFRAMES_TLS_CERTIFICATE: file('tls.crt'),
      FUSIONFRAMES_TLS_KEY: file('tls.key'),
      FUSIONFRAMES_TLS_CA: file('ca.crt'),
    }).serving;
    const { models } = JSON.parse(await readFile(file('measured.json'), 'utf8'));
    expect(models.keyframe_unet.batches[0].seconds).toBeGreaterThan(0);
  });

  test('foreign, expired and missing certificates, and plain text, are rejected', async () => {
    const ca = secrets.get('stages-ca')!['tls.crt']!;
    const names = ['spiffe://fusionframes/gateway'];
    const refused = { code: Status.UNAUTHENTICATED };
    await expect(callStage({ ca, ...createAuthority().issue('gateway', names) })).rejects.toMatchObject(refused);
    const expired = authorities.get('mesh')!.issue('gateway', names, { from: -7200, to: -3600 });
    await expect(callStage({ ca, ...expired })).rejects.toMatchObject(refused);
    await expect(callStage({ ca })).rejects.toMatchObject(refused);
    await expect(callStage()).rejects.toMatchObject({ code: Status.UNAVAILABLE });
  });

  test('they stop on SIGTERM', async () => {
    for (const each of running.reverse()) {
      expect(await each.stop()).toBe(0);
    }
  });

  /** The certificates that cert-manager would issue for the overlay; each is also valid for this machine. */
  function issueAll() {
    const made = new Map<string, Record<string, string>>();
    const byIssuer = new Map<string, TestAuthority>();
    for (const { spec } of manifests.filter(({ kind, spec }) => kind === 'Issuer' && spec.ca)) {
      const { metadata } = manifests.find((each) => each.kind === 'Issuer' && each.spec === spec)!;
      const authority = createAuthority(metadata.name);
      byIssuer.set(metadata.name, authority);
      made.set(spec.ca.secretName, { 'tls.crt': authority.certificate });
    }
    for (const { metadata, spec } of certificates.filter(({ spec }) => !spec.isCA)) {
      const authority = byIssuer.get(spec.issuerRef.name)!;
      const { certificate, key } = authority.issue(metadata.name, [...spec.dnsNames, ...spec.uris, 'localhost']);
      made.set(spec.secretName, { 'tls.crt': certificate, 'tls.key': key });
    }
    return { secrets: made, authorities: byIssuer };
  }
});

describe('make-certificates.sh', () => {
  const hasOpenssl = spawnSync('openssl', ['version']).status === 0;
  const whereOpenssl = hasOpenssl && canRender ? test : test.skip;
  const script = join(packageRoot, 'deploy', 'kubernetes', 'components', 'mtls', 'make-certificates.sh');

  whereOpenssl('makes what cert-manager would make, as secrets that the pods mount', () =>
    withTemporaryFolder(async (folder) => {
      const make = () => expect(spawnSync('bash', [script, folder], { encoding: 'utf8' })).toMatchObject({ status: 0 });
      make();
      const before = await secretsIn(folder);
      make();
      const after = await secretsIn(folder);
      expect([...after.keys()].sort()).toEqual([...before.keys()].sort());
      const everything = [...certificates, ...renderOverlay('production').filter(({ kind }) => kind === 'Certificate')];
      expect([...after.keys()].sort()).toEqual([...new Set(everything.map(({ spec }) => spec.secretName))].sort());
      for (const { spec } of everything) {
        const held = after.get(spec.secretName)!;
        const certificate = new X509Certificate(held['tls.crt']!);
        expect(certificate.ca).toBe(spec.isCA === true);
        if (spec.isCA) {
          // What was signed before stays valid.
          expect(held).toEqual(before.get(spec.secretName));
          expect(Object.keys(held)).toEqual(['tls.crt']);
          continue;
        }
        const names = [
          ...spec.uris.map((uri: string) => `URI:${uri}`),
          ...spec.dnsNames.map((name: string) => `DNS:${name}`),
        ];
        expect(certificate.subjectAltName!.split(', ').sort()).toEqual(names.sort());
        const authority = new X509Certificate(after.get(`${spec.issuerRef.name}-ca`)!['tls.crt']!);
        expect(certificate.verify(authority.publicKey)).toBe(true);
        expect(held['tls.key']).toContain('PRIVATE KEY');
        expect(held['tls.crt']).not.toBe(before.get(spec.secretName)!['tls.crt']);
      }
    }),
  );

  whereOpenssl('puts secrets and names into the given namespace', () =>
    withTemporaryFolder(async (folder) => {
      expect(spawnSync('bash', [script, folder, 'video'], { encoding: 'utf8' })).toMatchObject({ status: 0 });
      const text = await readFile(join(folder, 'secrets.yaml'), 'utf8');
      const namespaces = parseAllDocuments(text).map((each) => (each.toJS() as Manifest).metadata.namespace);
      expect(new Set(namespaces)).toEqual(new Set(['video']));
      const certificate = new X509Certificate((await secretsIn(folder)).get('gateway-tls')!['tls.crt']!);
      expect(certificate.subjectAltName).toContain('DNS:gateway.video, DNS:gateway.video.svc, ');
    }),
  );

  async function secretsIn(folder: string): Promise<Map<string, Record<string, string>>> {
    const documents = parseAllDocuments(await readFile(join(folder, 'secrets.yaml'), 'utf8'));
    return new Map(
      documents
        .map((document) => document.toJS() as Manifest)
        .map(({ metadata, data }) => [
          metadata.name,
          Object.fromEntries(
            Object.entries(data as Record<string, string>).map(([key, text]) => [
              key,
              Buffer.from(text, 'base64').toString(),
            ]),
          ),
        ]),
    );
  }
});
