import { once } from 'node:events';
import { readdir, readFile, symlink } from 'node:fs/promises';
import { type IncomingMessage, request } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test } from '@jest/globals';
import { Client } from '@modelcontextprotocol/sdk/client/index.js';
import { StdioClientTransport } from '@modelcontextprotocol/sdk/client/stdio.js';
import { StreamableHTTPClientTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js';
import { InMemoryTransport } from '@modelcontextprotocol/sdk/inMemory.js';
import type { Progress } from '@modelcontextprotocol/sdk/types.js';
import { connectGrpc } from '../../gateway/client/grpc-client.ts';
import { stopTestServer } from '../../gateway/testing/data.ts';
import { withGateway } from '../../gateway/testing/gateway.ts';
import { untilAborted } from '../../gateway/testing/stage-doubles.ts';
import { deferred } from '../../services/kit/deferred.ts';
import { packageRoot } from '../../services/kit/package-root.ts';
import { withTemporaryFolder } from '../../services/kit/testing/temporary-folder.ts';
import { callCli, runCli } from '../../test/support/cli.ts';
import { createMcpServer } from './create-mcp-server.ts';
import { serveMcpHttp } from './serve-mcp-http.ts';

afterAll(stopTestServer);

interface Facts {
  id: string;
  state: string;
  path: string;
  videos: Facts[];
}

interface Content {
  type: string;
  text: string;
  mimeType: string;
  resource: { mimeType: string; blob: string };
}

interface Result {
  isError?: boolean;
  structuredContent: Facts;
  content: [Content];
}

const small = { prompt: 'a red circle', steps: 3, interpolation_steps: 2, frame_rate: 'low', seed: '7' };

function newClient() {
  const client = new Client({ name: 'test', version: '1' });
  const call = async (name: string, given: object = {}, onprogress?: (progress: Progress) => void) =>
    (await client.callTool(
      { name, arguments: { ...given } },
      undefined,
      onprogress && { onprogress },
    )) as unknown as Result;
  return { client, call, facts: async (...args: Parameters<typeof call>) => (await call(...args)).structuredContent };
}

test('an assistant makes, follows, lists, downloads and cancels videos over standard input and output', () => {
  const seen = deferred();
  return withTemporaryFolder((folder) =>
    withGateway(
      async ({ server }) => {
        const { client, call, facts } = newClient();
        const program = join(packageRoot, 'dist', 'cli', 'main.js');
        const args = [program, 'mcp', '--address', server.address, '--folder', folder];
        const transport = new StdioClientTransport({ command: process.execPath, args });
        const faults: Error[] = [];
        client.onerror = (error) => {
          // The SDK forgets a call before it handles progress that arrived just before the result.
          if (!error.message.includes('progress notification for an unknown token')) {
            faults.push(error);
          }
        };
        await client.connect(transport);
        try {
          const { tools } = await client.listTools();
          expect(tools.map(({ name }) => name)).toEqual([
            'create_video',
            'get_video',
            'list_videos',
            'download_video',
            'cancel_video',
            'list_models',
          ]);
          expect(tools[0]!.inputSchema).toMatchObject({
            type: 'object',
            required: ['prompt'],
            additionalProperties: false,
            properties: { prompt: { type: 'string', maxLength: 10_000 }, seed: expect.anything() },
          });
          expect(await facts('list_models')).toMatchObject({ models: [{ id: 'nano', status: 'ready' }] });

          const created = await facts('create_video', { ...small, model: 'nano', idempotency_key: 'one' });
          expect(created).toMatchObject({ settings: { seed: '7', keyframes: { steps: 3 } }, ended: false });
          const { id } = created;
          expect((await facts('create_video', { ...small, model: 'nano', idempotency_key: 'one' })).id).toBe(id);
          const progress: Progress[] = [];
          const watched = await facts('get_video', { id, wait: true }, (each) => {
            progress.push(each);
            if (each.message?.startsWith('keyframes')) {
              seen.resolve();
            }
          });
          expect(watched).toMatchObject({ id, state: 'succeeded', ended: true });
          expect(progress.length).toBeGreaterThan(1);
          expect(progress.map((each) => each.progress)).toEqual(progress.map((_, index) => index + 1));
          expect(progress.map(({ message }) => message)).toContainEqual(expect.stringMatching(/^keyframes \d\/3$/));
          expect(await facts('list_videos', { limit: 1, state: 'succeeded' })).toMatchObject({ videos: [{ id }] });

          const saved = await facts('download_video', { id, path: 'circle.mp4' });
          expect(saved.path).toMatch(/\/circle\.mp4$/);
          const [returned] = (await call('download_video', { id })).content;
          expect(returned.resource).toMatchObject({ mimeType: 'video/mp4' });
          expect(Buffer.from(returned.resource.blob, 'base64').equals(await readFile(saved.path))).toBe(true);
          const [picture] = (await call('download_video', { id, file: 'thumbnail' })).content;
          expect(picture).toMatchObject({ type: 'image', mimeType: 'image/webp' });

          const described = {
            deadline: '2h',
            metadata: { team: 'red' },
            webhook: { url: 'http://198.51.100.1/', secret: 's', events: ['running'] },
          };
          const hanging = (await facts('create_video', { ...small, frame_rate: 'medium', ...described })).id;
          const keyed = { ...small, deadline: '90m', idempotency_key: 'mine' };
          const once = await facts('create_video', keyed);
          expect(await facts('create_video', keyed)).toMatchObject({ id: once.id });
          await facts('cancel_video', { id: once.id });
          expect(await facts('list_videos', { created_before: '2026-01-01' })).toEqual({ videos: [] });
          expect(await facts('list_videos', { metadata: { team: 'red' }, created_after: 0 })).toMatchObject({
            videos: [{ id: hanging, metadata: { team: 'red' }, deadline: expect.stringMatching(/Z$/) }],
          });
          expect(await facts('get_video', { id: hanging, wait: true, timeout_seconds: 1 })).toMatchObject({
            ended: false,
          });
          expect(await facts('cancel_video', { id: hanging })).toMatchObject({ state: 'cancelled' });

          await symlink(tmpdir(), join(folder, 'link'));
          const refused: [tool: string, given: object, message: string][] = [
            ['create_video', { prompt: 'a', frame_rate: 'fast' }, '`frame_rate` must be one of low, medium, high'],
            ['create_video', { prompt: 'a', stpes: 3 }, '`stpes` is not a known field'],
            ['list_videos', JSON.parse('{"__proto__": "x"}'), '`__proto__` is not a known field'],
            ['create_video', { prompt: 'x'.repeat(10_001) }, '`prompt` must be at most 10000 characters (got 10001)'],
            ['create_video', {}, '`prompt` must be 1 to 10000 characters (got nothing)'],
            ['create_video', { prompt: 'a', deadline: 'soon' }, '`deadline` must be a duration such as 90s'],
            [
              'list_videos',
              { metadata: JSON.parse('{"__proto__": "x"}') },
              '`metadata.__proto__` is not a known field',
            ],
            ['create_video', { prompt: 'a', metadata: { team: 1 } }, '`metadata.team` must be text (got 1)'],
            ['create_video', { prompt: 'a', webhook: { url: 'x', secret: 's' } }, '`webhook.url` must be an http'],
            ['create_video', { prompt: 'a', width: 65 }, '`width` must be 128 (got 65)'],
            ['create_video', { prompt: 'a', model: 'other' }, 'nano'],
            ['create_video', { prompt: 'a', lora: [{ name: 'ink' }] }, '`lora` must be absent: nano has none'],
            ['create_video', { prompt: 'a', keyframes: { path: 'none.mp4' } }, '`keyframes` must be a file that can'],
            ['create_video', { prompt: 'a', keyframes: [] }, '2 or more frames'],
            ['get_video', { id: 'video_x' }, 'not found'],
            ['get_video', { id: 'video_x', wait: true }, 'not found'],
            ['list_videos', { limit: 0 }, '`limit` must be a whole number from 1 to 100 (got 0)'],
            ['cancel_video', { id }, 'succeeded'],
            ['download_video', { id: hanging }, 'cancelled'],
            ['download_video', { id: hanging, path: 'new.mp4' }, 'cancelled'],
            ['download_video', { id, path: '../circle.mp4' }, '`path` must be a file below'],
            ['download_video', { id, path: '/etc/circle.mp4' }, '`path` must be a file below'],
            ['download_video', { id, path: 'link/circle.mp4' }, '`path` must be a file below'],
            ['download_video', { id, path: '.' }, '`path` must be a file below'],
            ['download_video', { id, path: 'circle.mp4' }, '`path` must be a new file'],
            ['download_video', { id, path: 'link' }, '`path` must be a new file'],
            ['download_video', { id, path: 'none/circle.mp4' }, '`path` must be a file in a folder that exists'],
            ['download_video', { id, path: 'x'.repeat(300) }, '`path` must be a file that can be written'],
          ];
          const answers = await Promise.all(refused.map(([tool, given]) => call(tool, given)));
          expect(answers.map(({ isError, structuredContent }) => ({ isError, ...structuredContent }))).toEqual(
            refused.map(([, , message]) =>
              expect.objectContaining({ isError: true, message: expect.stringContaining(message) }),
            ),
          );
          await expect(call('delete_video', { id })).rejects.toThrow('Unknown tool "delete_video"');
          expect((await readdir(folder)).sort()).toEqual(['circle.mp4', 'link']);

          const closed = new Promise<void>((resolve) => {
            client.onclose = resolve;
          });
          process.kill(transport.pid!, 'SIGTERM');
          await closed;
          // No line on standard output was anything but the protocol's.
          expect(faults).toEqual([]);
        } finally {
          await client.close();
        }
      },
      {
        hooks: {
          // The keyframes last until the assistant has seen them.
          keyframes: async (step) => (step === small.steps ? seen.promise : undefined),
          interpolation: (_, signal) => untilAborted(signal),
        },
      },
    ),
  );
});

test('over HTTP it answers this machine by its own names only, and writes no files', () =>
  withGateway(async ({ server }) => {
    const gateway = connectGrpc({ address: server.address });
    const http = await serveMcpHttp(() => createMcpServer(gateway, undefined), { host: '127.0.0.1', port: 0 });
    const url = new URL(`http://${http.address}/mcp`);
    const { client, facts } = newClient();
    try {
      await client.connect(new StreamableHTTPClientTransport(url));
      const download = (await client.listTools()).tools.find(({ name }) => name === 'download_video')!;
      expect(Object.keys(download.inputSchema.properties!)).toEqual(['id', 'file']);
      const { id } = await facts('create_video', small);
      const progress: Progress[] = [];
      const ended = await facts('get_video', { id, wait: true }, (each) => progress.push(each));
      expect(ended.state).toBe('succeeded');
      expect(progress.length).toBeGreaterThan(0);

      const headers = { accept: 'application/json, text/event-stream', 'content-type': 'application/json' };
      const post = async (body: string, more: Record<string, string> = {}) =>
        (await fetch(url, { method: 'POST', body, headers: { ...headers, ...more } })).status;
      expect(await post('rubbish')).toBe(400);
      expect(await post(JSON.stringify('x'.repeat(1 << 20)))).toBe(413);
      expect(await post('{}', { 'content-type': 'text/plain' })).toBe(415);
      expect(await post('{}', { origin: 'http://evil.example' })).toBe(403);
      expect((await fetch(url, { method: 'DELETE' })).status).toBe(405);
      expect((await fetch(new URL('/', url), { method: 'POST' })).status).toBe(404);
      const foreign = request(url, { method: 'POST', headers: { ...headers, host: 'evil.example' } }).end('{}');
      const [response] = (await once(foreign, 'response')) as [IncomingMessage];
      response.resume();
      expect(response.statusCode).toBe(403);

      expect(await callCli(['mcp', '--http', http.address])).toMatchObject({
        code: 1,
        stderr: expect.stringContaining('address already in use'),
      });
    } finally {
      await client.close();
      await http.close();
      gateway.close();
    }
  }));

test('a gateway that is down is the result of a call', async () => {
  const gateway = connectGrpc({ address: '127.0.0.1:1' });
  const [near, far] = InMemoryTransport.createLinkedPair();
  await createMcpServer(gateway, undefined).connect(far);
  const { client, call } = newClient();
  await client.connect(near);
  expect(await call('list_models')).toMatchObject({
    isError: true,
    structuredContent: { code: 'UNAVAILABLE', message: expect.stringContaining('fusionframes serve') },
  });
  await client.close();
  gateway.close();
});

test('the program ends with its input', async () => {
  expect(await runCli(['mcp'])).toEqual({ code: 0, stdout: '', stderr: '' });
});

test.each([
  [['--http', '0.0.0.0:9000'], '`--http` must be 127.0.0.1:port'],
  [['--http', '9000'], '`--http` must be 127.0.0.1:port'],
  [['--folder', '/nowhere'], '`--folder` must be a folder that exists'],
])('refuses %j', async (args, message) => {
  expect(await callCli(['mcp', ...args])).toMatchObject({ code: 2, stderr: expect.stringContaining(message) });
});
