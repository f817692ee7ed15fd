import { execFile } from 'node:child_process';
import { createServer } from 'node:http';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import { expect, test } from '@jest/globals';
import { packageRoot } from '../../services/kit/package-root.ts';
import { temporaryFolder } from '../../services/kit/testing/temporary-folder.ts';
import { scopeOfEachTest } from '../../services/kit/testing/test-scope.ts';

const scope = scopeOfEachTest();

type Advisories = Record<string, unknown[]>;

/** Runs the audit against a registry that knows these advisories, or none that answers. */
async function audit(advisories: Advisories | undefined): Promise<{ code: number; stdout: string; asked: string[] }> {
  const asked: string[] = [];
  const server = createServer(async (request, response) => {
    const body: Buffer[] = [];
    for await (const chunk of request) {
      body.push(chunk);
    }
    if (request.url === '/range-parser') {
      response.end(JSON.stringify({ name: 'range-parser', versions: { '1.3.0': { version: '1.3.0' } } }));
      return;
    }
    if (request.method !== 'POST' || !request.url?.endsWith('/advisories/bulk') || !advisories) {
      response.writeHead(404).end('{}');
      return;
    }
    const sent = Buffer.concat(body);
    const text = request.headers['content-encoding'] === 'gzip' ? gunzipSync(sent) : sent;
    asked.push(...Object.keys(JSON.parse(text.toString())));
    response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(advisories));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as { port: number };
  // npm caches the answer.
  const cache = temporaryFolder(scope);
  const npm = { npm_config_registry: `http://127.0.0.1:${port}/`, npm_config_cache: cache };
  const env = { ...process.env, NODE_OPTIONS: '', ...npm };
  const result = await new Promise<{ code: number; stdout: string }>((resolve) => {
    execFile(process.execPath, [join(packageRoot, 'dist/test/audit/main.js')], { env }, (error, stdout) =>
      resolve({ code: error ? Number(error.code) : 0, stdout }),
    );
  });
  server.closeAllConnections();
  server.close();
  return { ...result, asked };
}

const advisory = (severity: string) => ({
  id: 1,
  url: 'https://example.org/advisories/1',
  title: 'Anything may happen',
  severity,
  vulnerable_versions: '>=0.0.0',
});

test('without advisories it says so, after asking only about installed packages', async () => {
  const { code, stdout, asked } = await audit({});
  expect({ code, stdout }).toEqual({ code: 0, stdout: 'audited: 0 packages with known vulnerabilities\n' });
  expect(asked).toContain('@grpc/grpc-js');
  expect(asked).not.toContain('jest');
});

test('a high severity fails and is described', async () => {
  const { code, stdout } = await audit({ 'range-parser': [advisory('high')] });
  expect(stdout).toContain('high: range-parser *: Anything may happen https://example.org/advisories/1');
  expect(code).toBe(1);
});

test('a low severity is reported and does not fail', async () => {
  const { code, stdout } = await audit({ 'range-parser': [advisory('low')] });
  expect(stdout).toContain('low: range-parser');
  expect(code).toBe(0);
});

test('an unreachable registry is reported and does not fail', async () => {
  const { code, stdout } = await audit(undefined);
  expect(stdout).toMatch(/^NOT AUDITED: the registry could not be asked \(404 /);
  expect(code).toBe(0);
});
