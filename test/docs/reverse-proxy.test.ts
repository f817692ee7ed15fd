import { spawn, spawnSync } from 'node:child_process';
import { writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { afterAll, describe, expect, test } from '@jest/globals';
import { stopTestServer } from '../../gateway/testing/data.ts';
import { withHttp } from '../../gateway/testing/http.ts';
import { withTemporaryFolder } from '../../services/kit/testing/temporary-folder.ts';
import { readDocument } from './documents.ts';

afterAll(stopTestServer);

interface Proxy {
  /** Language tag of the snippet. */
  language: string;
  /** Port in the snippet. */
  port: number;
  version: string[];
  /** A complete configuration around the snippet. */
  wrap(snippet: string, folder: string): string;
  command(file: string, folder: string): string[];
}

const proxies: Record<string, Proxy> = {
  nginx: {
    language: 'nginx',
    port: 8088,
    version: ['nginx', '-v'],
    wrap: (snippet, folder) =>
      `daemon off; worker_processes 1; pid ${folder}/pid; error_log ${folder}/log;\nevents {}\nhttp { access_log off;\n` +
      `${['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map((name) => `${name}_temp_path ${folder}/${name};`).join(' ')}\n${snippet}}`,
    command: (file, folder) => ['nginx', '-p', folder, '-c', file],
  },
  caddy: {
    language: 'caddyfile',
    port: 8089,
    version: ['caddy', 'version'],
    wrap: (snippet) => `{\n  admin off\n}\n${snippet}`,
    command: (file) => ['caddy', 'run', '--adapter', 'caddyfile', '--config', file],
  },
};

describe.each(Object.entries(proxies))('the snippet for %s', (name, proxy) => {
  const isInstalled = spawnSync(proxy.version[0]!, proxy.version.slice(1)).error === undefined;
  const run = isInstalled ? test : test.skip;

  run('serves page, API and events, at the root and below a path', () =>
    withHttp(
      (http) =>
        withTemporaryFolder(async (folder) => {
          const docs = readDocument('docs/reverse-proxy.md');
          const snippet = docs.split(`\`\`\`${proxy.language}\n`)[1]!.split('```')[0]!;
          const port = await freePort();
          const file = join(folder, 'configuration');
          const text = snippet
            .replaceAll(String(proxy.port), String(port))
            .replaceAll('127.0.0.1:8080', new URL(http.base).host);
          await writeFile(file, proxy.wrap(text, folder));
          const [program, ...args] = proxy.command(file, folder);
          const child = spawn(program!, args, { stdio: 'ignore', env: { ...process.env, HOME: folder } });
          try {
            for (const base of [`http://127.0.0.1:${port}`, `http://127.0.0.1:${port}/video`]) {
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
