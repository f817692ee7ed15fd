import { readdir, readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeAll, beforeEach, expect, test } from '@jest/globals';
import { temporaryFolder } from '../services/kit/testing/temporary-folder.ts';
import { scopeOfAllTests } from '../services/kit/testing/test-scope.ts';
import { callCli, eventually, startCli } from '../test/support/cli.ts';
import { tinyPublishedPreset, writePublishedFiles } from '../test/support/published-files.ts';
import { HubServer } from '../triton-models/pull/testing/hub-server.ts';
import { transferDisplay } from './transfer-display.ts';

const folder = temporaryFolder(scopeOfAllTests());
let preset: string;
let hub: HubServer;
beforeAll(async () => {
  preset = join(folder, 'presets', 'tiny.json');
  const tiny = await tinyPublishedPreset(folder);
  const published = join(folder, 'published');
  await writePublishedFiles(tiny, { plain: join(folder, 'plain'), published, encoder: 'safetensors' });
});
beforeEach(async () => {
  hub = await HubServer.start();
  const read = (...names: string[]) => readFile(join(folder, 'published', ...names));
  const own = ['kandinsky_video.pt', 'kandinsky_video_interpolation.pt', 'movq.pt'];
  const encoder = await readdir(join(folder, 'published', 'flan-ul2'));
  const named = async (prefix: string, names: string[], from = '') =>
    new Map(await Promise.all(names.map(async (name) => [prefix + name, await read(from, name)] as const)));
  hub.repositories.set('ai-forever/KandinskyVideo', await named('weights/', own));
  const tokenizer = ['tokenizer.json', await read('tokenizer.json')] as const;
  hub.repositories.set('google/flan-ul2', new Map([...(await named('', encoder, 'flan-ul2')), tokenizer]));
});
afterEach(() => hub.stop());

const environment = () => ({ HF_ENDPOINT: hub.endpoint, HF_TOKEN: '', HF_HUB_DISABLE_IMPLICIT_TOKEN: '1' });

test('published files become a video: pull, build, generate', async () => {
  const pulled = await callCli(['models', 'pull', preset], environment());
  expect(pulled.code).toBe(0);
  expect(pulled.stdout).toBe(`${join(folder, 'weights', 'tiny')}\n`);
  expect(pulled.stderr).toMatch(/^flan-ul2\/model\.safetensors\.index\.json: .* complete$/m);
  expect(pulled.stderr).toMatch(/^movq\.pt: \d+ % of 2\.\d+ MB, [\d.]+ [kM]B\/s, \d+ s left$/m);

  const built = await callCli(['models', 'build', preset, '--output', join(folder, 'repository')]);
  expect(built.stdout.match(/trained weights/g)).toHaveLength(4);

  const video = join(folder, 'video.webp');
  const limits = ['--fps', 'low', '--steps', '2', '--seed', '1'];
  const made = await callCli(['generate', 'a red circle', '--preset', preset, '--output', video, ...limits]);
  expect({ code: made.code, stderr: made.stderr.includes('RANDOM') }).toEqual({ code: 0, stderr: false });
  expect((await stat(video)).size).toBeGreaterThan(0);
});

test('Ctrl-C ends with 130 and keeps partial files, which the next pull resumes', async () => {
  const output = join(folder, 'interrupted');
  hub.faultOf = (path) => (path.endsWith('movq.pt') ? { kind: 'silence', after: 500_000 } : undefined);
  const running = startCli(['models', 'pull', preset, '--output', output], environment());
  const parts = async () => (await readdir(output)).filter((name) => /^movq\.pt\.[0-9a-f]{12}\.part$/.test(name));
  await eventually(async () => {
    const [part] = await parts().catch(() => []);
    return part !== undefined && (await stat(join(output, part))).size === 500_000;
  });
  running.child.kill('SIGINT');
  const { code, stderr } = await running.finished;
  expect(code).toBe(130);
  expect(stderr).toContain('interrupted: partial downloads are kept');
  expect(await readdir(output)).not.toContain('movq.pt');

  hub.faultOf = () => undefined;
  hub.requests.length = 0;
  expect((await callCli(['models', 'pull', preset, '--output', output], environment())).code).toBe(0);
  expect(hub.requests.find(({ path }) => path.endsWith('movq.pt'))?.start).toBe(500_000);
  expect(await parts()).toEqual([]);
});

test('failures exit with 1 and usage errors with 2, each in one line', async () => {
  hub.token = 'hf_right';
  const refused = await callCli(['models', 'pull', preset, '-o', join(folder, 'refused')], environment());
  expect(refused.code).toBe(1);
  expect(refused.stderr).toMatch(/^fusionframes: hub: .* a token is needed in HF_TOKEN.* \(UNAUTHENTICATED\)\n$/);
  const misused = await callCli(['models', 'pull', 'nano'], environment());
  expect({ code: misused.code, stderr: misused.stderr }).toEqual({
    code: 2,
    stderr: 'fusionframes: `preset` must be a preset with published files (got "nano") (INVALID_ARGUMENT)\n',
  });
  const wrongAddress = await callCli(['models', 'pull', preset], { HF_ENDPOINT: 'ftp://example.org' });
  expect(wrongAddress.code).toBe(2);
  expect(wrongAddress.stderr).toContain('`HF_ENDPOINT` must be an http or https URL (got "ftp://example.org")');
});

test('rate and time left count only what is downloaded now', () => {
  let now = 0;
  const written: string[] = [];
  const output = { isTTY: false, write: (text: string) => written.push(text) } as unknown as NodeJS.WriteStream;
  const display = transferDisplay(output, () => now);
  display.start('movq.pt', 1_000_000_000);
  now = 50_000;
  display.advance(400_000_000, 'found');
  now = 52_000;
  display.advance(200_000_000, 'fetched');
  display.advance(399_999_999, 'fetched');
  display.advance(1, 'fetched');
  display.done();
  display.unchanged('tokenizer.json', 3670);
  expect(written).toEqual([
    'movq.pt: 40 % of 1 GB, checking existing bytes\n',
    'movq.pt: 60 % of 1 GB, 100 MB/s, 4 s left\n',
    'movq.pt: 99 % of 1 GB, 300 MB/s, 1 s left\n',
    'movq.pt: 1 GB, complete\n',
    'tokenizer.json: up to date (3.67 kB)\n',
  ]);
});

test('on a terminal one line is redrawn', () => {
  const written: string[] = [];
  const output = { isTTY: true, write: (text: string) => written.push(text) } as unknown as NodeJS.WriteStream;
  const display = transferDisplay(output, () => 0);
  display.start('movq.pt', 100);
  display.advance(50, 'found');
  display.done();
  expect(written).toEqual([
    '\r\x1b[2Kmovq.pt: 50 % of 100 B, checking existing bytes',
    '\r\x1b[2Kmovq.pt: 100 B, complete\n',
  ]);
});
