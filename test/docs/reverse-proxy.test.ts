import { spawn, spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { afterAll, describe, expect, test } from '@jest/globals';
import { parse, parseAllDocuments } from 'yaml';
import { maxPictureRequestBytes } from '../../gateway/api/max-request-bytes.ts';
import { stopTestServer } from '../../gateway/testing/data.ts';
import { withHttp } from '../../gateway/testing/http.ts';
import { packageRoot } from '../../services/kit/package-root.ts';
import { withTemporaryFolder } from '../../services/kit/testing/temporary-folder.ts';
import type { Manifest } from '../deploy/rendered.ts';
import { typeFaults } from '../deploy/strict-types.ts';
import { readDocument } from './documents.ts';
import { deprecatedFields } from './envoy-configuration.ts';

afterAll(stopTestServer);

const gatewayAddress = '127.0.0.1:8080';

/** The first snippet of the document that begins so: with its language, and perhaps its first words. */
function snippet(start: string): string {
  return readDocument('docs/reverse-proxy.md').split(`\`\`\`${start}`)[1]!.split('```')[0]!;
}

interface Proxy {
  /** Configuration as documented, for the gateway at {@link gatewayAddress}. */
  documented: string;
  /** Port in it. */
  port: number;
  /** Where it serves the gateway, below the site's root. */
  paths: string[];
  version: string[];
  /** A complete configuration around the documented one. */
  wrap(documented: string, folder: string): string;
  command(file: string, folder: string): string[];
}

const nginx: Omit<Proxy, 'documented' | 'paths'> = {
  port: 8088,
  version: ['nginx', '-v'],
  // Bodies stay in memory: run by root, nginx's worker is another user, who may not write into the folder.
  wrap: (documented, folder) =>
    `daemon off; worker_processes 1; pid ${folder}/pid; error_log ${folder}/log;\nevents {}\nhttp { access_log off; client_body_buffer_size 32m;\n` +
    `${['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map((name) => `${name}_temp_path ${folder}/${name};`).join(' ')}\n${documented}}`,
  command: (file, folder) => ['nginx', '-p', folder, '-c', file],
};

const ingress = parse(`apiVersion:${snippet('yaml\napiVersion:')}`) as Manifest & {
  metadata: { annotations: Record<string, string> };
};

/** What ingress-nginx makes of the Ingress: of its annotations, and in every location. */
function asNginx({ metadata: { annotations }, spec }: typeof ingress): string {
  const directives: Record<string, (value: string) => string> = {
    'proxy-body-size': (value) => `client_max_body_size ${value};`,
    'proxy-buffering': (value) => `proxy_buffering ${value};`,
    'proxy-read-timeout': (value) => `proxy_read_timeout ${value}s;`,
  };
  const ofAnnotations = Object.entries(annotations).map(([name, value]) =>
    directives[name.replace('nginx.ingress.kubernetes.io/', '')]!(value),
  );
  const [{ path }] = spec.rules[0].http.paths;
  return `map $http_upgrade $connection_upgrade { default upgrade; '' ''; }
    server {
      listen ${nginx.port};
      location ${path} {
        proxy_set_header Host $http_host;
        proxy_set_header Upgrade $http_upgrade;
        proxy_set_header Connection $connection_upgrade;
        proxy_set_header X-Real-IP $remote_addr;
        proxy_set_header X-Forwarded-For $remote_addr;
        proxy_set_header X-Forwarded-Host $http_host;
        proxy_set_header X-Forwarded-Port $server_port;
        proxy_set_header X-Forwarded-Proto $scheme;
        proxy_http_version 1.1;
        ${ofAnnotations.join('\n')}
        proxy_pass http://${gatewayAddress};
      }
    }`;
}

const proxies: Record<string, Proxy> = {
  nginx: { ...nginx, documented: snippet('nginx\n'), paths: ['', '/video'] },
  'ingress-nginx': { ...nginx, documented: asNginx(ingress), paths: [''] },
  caddy: {
    documented: snippet('caddyfile\n'),
    port: 8089,
    paths: ['', '/video'],
    version: ['caddy', 'version'],
    wrap: (documented) => `{\n  admin off\n}\n${documented}`,
    command: (file) => ['caddy', 'run', '--adapter', 'caddyfile', '--config', file],
  },
};

describe.each(Object.entries(proxies))('the snippet for %s', (name, proxy) => {
  const isInstalled = spawnSync(proxy.version[0]!, proxy.version.slice(1)).error === undefined;
  const run = isInstalled ? test : test.skip;

  run('serves page, API and events', () =>
    withHttp(
      (http) =>
        withTemporaryFolder(async (folder) => {
          const port = await freePort();
          const file = join(folder, 'configuration');
          const text = proxy.documented
            .replaceAll(String(proxy.port), String(port))
            .replaceAll(gatewayAddress, new URL(http.base).host);
          await writeFile(file, proxy.wrap(text, folder));
          const [program, ...args] = proxy.command(file, folder);
          const child = spawn(program!, args, { stdio: 'ignore', env: { ...process.env, HOME: folder } });
          try {
            for (const path of proxy.paths) {
              const base = `http://127.0.0.1:${port}${path}`;
              await serves(name, base);
              const page = await (await fetch(`${base}/`)).text();
              const [, script] = /<script type="module" src="([^"]+)"/.exec(page)!;
              const { origin } = new URL(base);
              expect((await fetch(new URL(script!, `${base}/`), { headers: { origin } })).status).toBe(200);
              const headers = { origin, 'content-type': 'application/json' };
              const body = JSON.stringify({ prompt: 'a fox', steps: 2, frame_rate: 'low' });
              const created = await fetch(`${base}/v1/videos`, { method: 'POST', headers, body });
              expect(created.status).toBe(200);
              const { id } = (await created.json()) as { id: string };
              expect(await (await fetch(`${base}/v1/videos/${id}/events`)).text()).toContain('"status":"completed"');
              if (path === '') {
                const picture = 'A'.repeat(maxPictureRequestBytes - 100);
                const large = JSON.stringify({ prompt: 'a fox', input_reference: picture });
                const refused = await fetch(`${base}/v1/videos`, { method: 'POST', headers, body: large });
                expect([refused.status, await refused.text()]).toEqual([
                  400,
                  expect.stringContaining('input_reference'),
                ]);
              }
              const foreign = { ...headers, origin: 'http://elsewhere.example' };
              expect((await fetch(`${base}/v1/videos`, { method: 'POST', headers: foreign, body })).status).toBe(403);
            }
          } finally {
            child.kill();
          }
        }),
      { trustedProxies: '127.0.0.1' },
    ),
  );
});

test("the Envoy configuration is one of Envoy's API, without deprecated fields, for the gateway's port", () => {
  const text = `static_resources:${snippet('yaml\nstatic_resources:')}`;
  const configuration = parse(text);
  expect(deprecatedFields(configuration)).toEqual([]);
  const [host, port] = gatewayAddress.split(':');
  expect(text).toContain(`socket_address: { address: ${host}, port_value: ${port} }`);

  const [cluster] = configuration.static_resources.clusters;
  expect(() => deprecatedFields({ static_resources: { clusters: [{ ...cluster, conect_timeout: '5s' }] } })).toThrow(
    'conect_timeout',
  );
  expect(deprecatedFields({ static_resources: { clusters: [{ ...cluster, dns_refresh_rate: '5s' }] } })).toEqual([
    'field envoy.config.cluster.v3.Cluster.dns_refresh_rate',
  ]);
});

test('the Ingress has only keys of its kind, and leads to the HTTP port of the gateway', async () => {
  expect(await typeFaults([ingress])).toBe('');
  const [{ backend }] = ingress.spec.rules[0].http.paths;
  const file = join(packageRoot, 'deploy', 'kubernetes', 'base', 'gateway.yaml');
  const services = parseAllDocuments(readFileSync(file, 'utf8')).map((document) => document.toJS() as Manifest);
  const service = services.find(({ kind, metadata }) => kind === 'Service' && metadata.name === backend.service.name);
  expect(service?.spec.ports).toContainEqual(expect.objectContaining({ ...backend.service.port, targetPort: 'http' }));
});

async function serves(name: string, base: string): Promise<void> {
  for (let attempt = 0; attempt < 100; attempt++) {
    if ((await fetch(`${base}/healthz`).catch(() => undefined))?.status === 200) {
      return;
    }
    await pause(100);
  }
  throw new Error(`${name} does not serve ${base}`);
}

function freePort(): Promise<number> {
  return new Promise((resolve) => {
    const server = createServer().listen(0, '127.0.0.1', () => {
      const { port } = server.address() as { port: number };
      server.close(() => resolve(port));
    });
  });
}
