import { access, readdir, readFile, rm, stat, symlink, truncate, utimes, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { temporaryFolder } from '../../services/kit/testing/temporary-folder.ts';
import { scopeOfAllTests } from '../../services/kit/testing/test-scope.ts';
import type { Preset } from '../../services/pipeline/preset.ts';
import { tinyPublishedPreset, writePublishedFiles } from '../../test/support/published-files.ts';
import { ensureRepository } from '../packaging/ensure-repository.ts';
import { presetModels } from '../packaging/model-set.ts';
import { type PullOptions, pullModels } from './pull-models.ts';
import { ConnectProxy } from './testing/connect-proxy.ts';
import { HubServer } from './testing/hub-server.ts';
import { encoder, keyframes, own, publishedRepositories } from './testing/published-repositories.ts';

const folder = temporaryFolder(scopeOfAllTests());
let preset: Preset;
const at = (...names: string[]) => join(folder, ...names);
beforeAll(async () => {
  preset = await tinyPublishedPreset(folder);
  await writePublishedFiles(preset, { plain: at('plain'), published: at('published'), encoder: 'pytorch' });
});

/** The hub's repositories; each test gets a copy to change. */
let repositories: Awaited<ReturnType<typeof publishedRepositories>>;
beforeAll(async () => {
  repositories = await publishedRepositories(at('published'));
});

let hub: HubServer;
beforeEach(async () => {
  hub = await HubServer.start();
  for (const [name, files] of repositories) {
    hub.repositories.set(name, new Map(files));
  }
});
afterEach(async () => {
  await hub.stop();
  await rm(at('output'), { recursive: true, force: true });
});

let progress: string[];
const pull = (options: Partial<PullOptions> = {}, token = '') => {
  progress = [];
  return pullModels(presetModels(preset), {
    from: 'hub',
    output: at('output'),
    hub: { endpoint: hub.endpoint, token, timeoutMilliseconds: 5000, firstWaitMilliseconds: 1 },
    progress: {
      unchanged: (name) => progress.push(`${name} unchanged`),
      start: (name) => progress.push(name),
      advance: () => {},
      done: () => progress.push('done'),
    },
    ...options,
  });
};
const parts = async () => (await readdir(at('output'), { recursive: true })).filter((name) => name.endsWith('.part'));
const requestsFor = (path: string) => hub.requests.filter((request) => request.path === path).map(({ start }) => start);
const isThere = (...names: string[]) =>
  access(at('output', ...names)).then(
    () => true,
    () => false,
  );

const pulledFiles = [
  'flan-ul2/config.json',
  'flan-ul2/pytorch_model-00001-of-00003.bin',
  'flan-ul2/pytorch_model-00002-of-00003.bin',
  'flan-ul2/pytorch_model.bin.index.json',
  'kandinsky_video.pt',
  'kandinsky_video_interpolation.pt',
  'movq.pt',
  'tokenizer.json',
];

test('the needed files are downloaded completely, and a repository is built from them', async () => {
  const pulled = await pull();
  expect(pulled.folder).toBe(at('output'));
  expect(pulled.notes).toEqual(
    [own, encoder].map((name) =>
      expect.stringMatching(
        new RegExp(`^${name}: main was commit ([0-9a-f]{40}); \`--revision ${name}=\\1\` gets the same files again$`),
      ),
    ),
  );
  const found = (await readdir(at('output'), { recursive: true })).filter((name) => name.includes('.'));
  expect(found.sort()).toEqual([...pulledFiles, 'pulled.json'].sort());
  for (const name of pulledFiles) {
    expect((await readFile(at('output', name))).equals(await readFile(at('published', name)))).toBe(true);
  }
  const { models } = await ensureRepository(preset, { folder: at('repository'), checkpoint: at('output') });
  expect(models.map(({ weights }) => weights)).toEqual(Array(4).fill('trained'));
});

test('a proxy gets every request except those for excluded hosts', async () => {
  const proxy = await ConnectProxy.start();
  const through = (user: string, noProxy: string) =>
    pull({
      hub: {
        endpoint: hub.endpoint,
        token: '',
        proxies: { httpProxy: `http://${user}@${proxy.address}`, httpsProxy: '', noProxy },
        timeoutMilliseconds: 5000,
        firstWaitMilliseconds: 1,
      },
    });
  try {
    await through('a:b', '127.0.0.1');
    expect(proxy.targets).toEqual([]);
    await rm(at('output'), { recursive: true });
    proxy.credentials = 'a:b';
    await through('a:b', 'example.org');
    expect(proxy.targets).toContain(new URL(hub.endpoint).host);
    // Large files lie on another server.
    expect(new Set(proxy.targets).size).toBe(2);
    await expect(through('a:wrong', '')).rejects.toMatchObject({
      reason: 'HUB_ACCESS_DENIED',
      message: expect.stringMatching(/the proxy requires .*407/),
    });
  } finally {
    await proxy.stop();
  }
});

test('a second pull stays at the commits of the first; newer ones are named, and fetched on request', async () => {
  await pull();
  hub.commit();
  hub.repositories.get(encoder)!.set('tokenizer.json', Buffer.from('{"new": true}'));
  hub.requests.length = 0;
  const { notes } = await pull();
  expect(hub.requests).toEqual([]);
  expect(progress.every((line) => line.endsWith(' unchanged'))).toBe(true);
  const stayed = (name: string) =>
    new RegExp(`^${name}: stayed at commit \\w{40}, .*; main is now \\w{40}, which \`--revision ${name}=main\` gets$`);
  expect(notes).toEqual([own, encoder].map((name) => expect.stringMatching(stayed(name))));

  await rm(at('output', 'tokenizer.json'));
  await pull();
  expect(
    (await readFile(at('output', 'tokenizer.json'))).equals(await readFile(at('published', 'tokenizer.json'))),
  ).toBe(true);
  hub.requests.length = 0;
  await pull({ revisions: [`${encoder}=main`] });
  expect(hub.requests.map(({ path }) => path)).toEqual(['tokenizer.json']);
  expect(await readFile(at('output', 'tokenizer.json'), 'utf8')).toBe('{"new": true}');
  // All files of this repository are recorded at its new commit, also those that did not change.
  const [first, second] = (await pull()).notes;
  expect(first).toMatch(stayed(own));
  expect(second).toContain(`${encoder}: main was commit`);
});

test('the token goes to the hub, not to where it redirects', async () => {
  hub.token = 'hf_secret';
  await pull({}, 'hf_secret');
  expect(hub.requests.filter(({ path }) => path === keyframes).map((each) => each.authorization)).toEqual([undefined]);
  expect(hub.requests.find(({ path }) => path === 'tokenizer.json')!.authorization).toBe('Bearer hf_secret');
});

test('a mirror that sends readers of a list elsewhere is named, and the token does not go there', async () => {
  hub.pageOrigin = 'https://elsewhere.invalid';
  await expect(pull({}, 'hf_secret')).rejects.toThrow(
    `continues at https://elsewhere.invalid, not at ${hub.endpoint}: set HF_ENDPOINT`,
  );
});

describe('transient faults', () => {
  test('a connection that breaks repeatedly: each attempt resumes where the last one ended', async () => {
    hub.faultOf = (path, earlier) => (path === keyframes && earlier < 10 ? { kind: 'cut', after: 10_000 } : undefined);
    await pull();
    const starts = requestsFor(keyframes);
    expect(starts).toHaveLength(11);
    expect(starts.slice(1).every((start, i) => start > starts[i]!)).toBe(true);
  });

  test('a response that ends early without an error', async () => {
    hub.faultOf = (path, earlier) => (path === keyframes && earlier === 0 ? { kind: 'short', after: 1000 } : undefined);
    await pull();
    expect(requestsFor(keyframes)).toEqual([0, 1000]);
  });

  test.each([429, 500, 503])('HTTP %d, for content and for lists', async (status) => {
    hub.metadataFaults.push(status, status);
    hub.faultOf = (_, earlier) => (earlier === 0 ? { kind: 'status', status } : undefined);
    await pull();
    expect(requestsFor(keyframes)).toEqual([0, 0]);
  });

  test('a hub that says when to retry is obeyed, however often', async () => {
    hub.metadataFaults.push(...Array(8).fill(429));
    hub.refusalHeaders = { 'retry-after': '0' };
    hub.faultOf = (path, earlier) => (path === keyframes && earlier < 8 ? { kind: 'status', status: 429 } : undefined);
    await pull();
    expect(requestsFor(keyframes)).toHaveLength(9);
  });

  test('a hub that asks for an excessive pause', async () => {
    hub.metadataFaults.push(429);
    hub.refusalHeaders = { ratelimit: '"api";r=0;t=86400' };
    await expect(pull()).rejects.toMatchObject({ retryAfterSeconds: 86400 });
  });

  test('a server that ignores ranges: the file starts over', async () => {
    hub.faultOf = (path, earlier) =>
      path !== keyframes ? undefined : earlier === 0 ? { kind: 'short', after: 1000 } : { kind: 'ignore range' };
    await pull();
    expect(requestsFor(keyframes)).toEqual([0, 1000]);
  });

  test('a server that falls silent', async () => {
    hub.faultOf = (path, earlier) =>
      path === 'weights/movq.pt' && earlier === 0 ? { kind: 'silence', after: 0 } : undefined;
    const settings = { endpoint: hub.endpoint, token: '', timeoutMilliseconds: 300, firstWaitMilliseconds: 1 };
    await pull({ hub: settings });
    expect(requestsFor('weights/movq.pt')).toEqual([0, 0]);
  });
});

describe('permanent faults leave no file under its final name', () => {
  test('attempts run out: partial files are kept and resumed by the next pull', async () => {
    hub.faultOf = (path, earlier) =>
      path !== keyframes ? undefined : earlier === 0 ? { kind: 'cut', after: 20_000 } : { kind: 'status', status: 503 };
    await expect(pull()).rejects.toThrow(
      /kandinsky_video\.pt: gave up after 6 attempts: hub: .* the server failed \(HTTP 503\); \d+ of \d+ bytes are kept; the same command resumes there/,
    );
    expect(await isThere('kandinsky_video.pt')).toBe(false);
    const [part] = await parts();
    const { size } = await stat(at('output', part!));
    expect(size).toBeGreaterThan(0);
    hub.faultOf = () => undefined;
    hub.requests.length = 0;
    await pull();
    expect(requestsFor(keyframes)).toEqual([size]);
    expect(await parts()).toEqual([]);
  });

  test('a list without end', async () => {
    hub.isEndless = true;
    await expect(pull()).rejects.toThrow('sent an unexpected response: a list of more than 100 pages');
  });

  test('an interrupt keeps partial files', async () => {
    const interrupted = new AbortController();
    hub.faultOf = (path) => {
      if (path === keyframes) {
        setImmediate(() => interrupted.abort());
        return { kind: 'silence', after: 0 };
      }
      return undefined;
    };
    await expect(pull({ signal: interrupted.signal })).rejects.toThrow(/abort/i);
    expect(await isThere('kandinsky_video.pt')).toBe(false);
  });

  test('a wrong hash: the file is removed', async () => {
    hub.faultOf = (path) => (path === keyframes ? { kind: 'corrupt' } : undefined);
    await expect(pull()).rejects.toThrow(/kandinsky_video\.pt: sha256 [0-9a-f]{64} expected, [0-9a-f]{64} found/);
    expect(await isThere('kandinsky_video.pt')).toBe(false);
    expect(await parts()).toEqual([]);
  });

  test('a partial file damaged on disk', async () => {
    hub.faultOf = (path, earlier) =>
      path !== keyframes ? undefined : earlier === 0 ? { kind: 'short', after: 1000 } : { kind: 'status', status: 503 };
    await expect(pull()).rejects.toThrow('1000 of');
    const [part] = await parts();
    await writeFile(at('output', part!), 'x'.repeat(1000));
    hub.faultOf = () => undefined;
    await expect(pull()).rejects.toThrow(/kandinsky_video\.pt: sha256 .* expected/);
    await pull();
  });

  test('more bytes than announced', async () => {
    hub.faultOf = (path) => (path === keyframes ? { kind: 'too long' } : undefined);
    await expect(pull()).rejects.toThrow(/hub: the response is longer than the announced \d+ bytes/);
    expect(await isThere('kandinsky_video.pt')).toBe(false);
  });

  test.each([
    [401, /weights\/kandinsky_video\.pt of ai-forever\/KandinskyVideo: a token is needed in HF_TOKEN/],
    [403, /access is denied: accept its terms on the hub/],
    [404, /repository, revision or file not found/],
    [416, /the file has no such bytes/],
    [400, /the request was refused \(HTTP 400\)/],
  ])('HTTP %d is not tried again', async (status, message) => {
    hub.faultOf = (path) => (path === keyframes ? { kind: 'status', status } : undefined);
    await expect(pull()).rejects.toThrow(message);
    expect(requestsFor(keyframes)).toEqual([0]);
  });

  test('a full disk: partial files are kept', async () => {
    hub.faultOf = (path) => (path === keyframes ? { kind: 'status', status: 503 } : undefined);
    await expect(pull()).rejects.toThrow();
    const [part] = await parts();
    // A device on which every write finds the disk full.
    await rm(at('output', part!));
    await symlink('/dev/full', at('output', part!));
    hub.faultOf = () => undefined;
    await expect(pull()).rejects.toThrow(/kandinsky_video\.pt: the disk is full; 0 of \d+ bytes are kept/);
    expect(await isThere('kandinsky_video.pt')).toBe(false);
  });
});

test('more than the disk has room for is rejected before the download', async () => {
  hub.announcedSizes.set(keyframes, 1e15);
  await expect(pull()).rejects.toThrow(/output: 10{2}\d+ bytes are needed, \d+ are free on its disk/);
  expect(requestsFor('weights/movq.pt')).toEqual([]);
});

describe('missing and foreign files', () => {
  test('a wrong token, a revision, files', async () => {
    hub.token = 'right';
    await expect(pull({}, 'wrong')).rejects.toThrow(
      'the token in HF_TOKEN was rejected, or the repository does not exist',
    );
    hub.token = '';
    await expect(pull({ revisions: ['v9'] })).rejects.toThrow('ai-forever/KandinskyVideo at v9: revision not found');
    hub.repositories.get(own)!.delete('weights/movq.pt');
    hub.repositories.get(own)!.delete(keyframes);
    await expect(pull()).rejects.toThrow(`${own}: not found: ${keyframes}, weights/movq.pt`);
  });

  test('an existing revision is requested by its commit', async () => {
    const { notes } = await pull({ revisions: ['v1'] });
    const record = JSON.parse(await readFile(at('output', 'pulled.json'), 'utf8'));
    expect(record['movq.pt']).toMatchObject({ repository: own, commit: expect.stringMatching(/^[0-9a-f]{40}$/) });
    // Pinned as the note says, nothing is left to note.
    const revisions = notes.map((note) => /--revision ([^`]+)`/.exec(note)![1]!);
    expect(revisions).toContain(`${own}=${record['movq.pt'].commit}`);
    expect((await pull({ revisions })).notes).toEqual([]);
  });

  test('each repository has its own revision', async () => {
    await expect(pull({ revisions: [`${encoder}=v9`] })).rejects.toThrow(`${encoder} at v9: revision not found`);
    await expect(pull({ revisions: ['other/one=v1'] })).rejects.toThrow(
      '`--revision` must be a name, or ai-forever/KandinskyVideo=name, google/flan-ul2=name (got "other/one=v1")',
    );
  });

  test('shards named by the index', async () => {
    hub.repositories.get(encoder)!.delete('pytorch_model-00001-of-00003.bin');
    await expect(pull()).rejects.toThrow(`${encoder}: not found: pytorch_model-00001-of-00003.bin`);
  });

  test('an unrelated file of the same name is left alone; the right one is recognised', async () => {
    await pull();
    await rm(at('output', 'pulled.json'));
    hub.requests.length = 0;
    await pull();
    expect(hub.requests).toEqual([]);
    await rm(at('output', 'pulled.json'));
    await writeFile(at('output', 'movq.pt'), 'my own');
    await expect(pull()).rejects.toThrow(
      /movq\.pt exists, but is not the hub's file .*remove it, or name another folder/,
    );
    expect(await readFile(at('output', 'movq.pt'), 'utf8')).toBe('my own');
  });

  test('a file that was changed after it was pulled is fetched again', async () => {
    await pull();
    await truncate(at('output', 'movq.pt'), 10);
    await utimes(at('output', 'movq.pt'), new Date(), new Date(1e12));
    await pull();
    expect((await stat(at('output', 'movq.pt'))).size).toBe((await stat(at('published', 'movq.pt'))).size);
  });

  test('a network in another network’s file', async () => {
    const files = hub.repositories.get(own)!;
    files.set(keyframes, files.get('weights/kandinsky_video_interpolation.pt')!);
    await expect(pull()).rejects.toThrow(/keyframe_unet: .*kandinsky_video\.pt does not fit[\s\S]*in_layer\.weight/);
  });

  test('a preset without published files', async () => {
    await expect(
      pullModels(presetModels({ ...preset, name: 'other' }), { from: 'hub' } as PullOptions),
    ).rejects.toThrow('`preset` must be a preset with published files (got "other")');
  });
});
