import { readdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, expect, test } from '@jest/globals';
import { connectGrpc } from '../gateway/client/index.ts';
import { ApiKeys } from '../gateway/keys/api-keys.ts';
import { stopTestServer } from '../gateway/testing/data.ts';
import { withGateway } from '../gateway/testing/gateway.ts';
import { untilAborted } from '../gateway/testing/stage-doubles.ts';
import { deferred } from '../services/kit/deferred.ts';
import { withTemporaryFolder } from '../services/kit/testing/temporary-folder.ts';
import { callCli, eventually, startCli } from '../test/support/cli.ts';
import { followVideo } from './mcp/follow-video.ts';

afterAll(stopTestServer);

test('jobs are listed, shown, watched and repeated with the same settings', async () => {
  await withGateway(async ({ server, create, watch, client, data }) => {
    const jobs = (...args: string[]) => callCli(['jobs', ...args, '--address', server.address]);
    const first = await create({ prompt: 'a red \u001b[2J circle\nthat moves', seed: 7n, negativePrompt: 'squares' });
    await watch(first.id);
    const { id } = await create({ prompt: 'a blue circle' });

    const watched = await jobs('watch', id);
    expect(watched).toMatchObject({
      code: 0,
      stdout: expect.stringMatching(`^${id} succeeded \\(57 frames, seed \\d+\\)\n$`),
    });
    expect(watched.stderr).toContain('keyframes: 3/3 in ');

    const { stdout } = await jobs('list');
    const [headings, newest, oldest] = stdout.split('\n');
    expect(headings).toMatch(/^id +state +progress +created +prompt$/);
    expect(newest).toMatch(
      new RegExp(`^${id} +succeeded +decoder 57/57 +\\d{4}-\\d\\d-\\d\\d \\d\\d:\\d\\d +a blue circle$`),
    );
    expect(oldest).toMatch(/ a red \[2J circle that moves$/);
    expect(JSON.parse((await jobs('list', '--limit', '1', '--json')).stdout)).toMatchObject([{ id }]);

    const shown = await jobs('show', first.id);
    expect(shown.stdout).toMatch(/^prompt +a red \[2J circle that moves$/m);
    expect(shown.stdout).toMatch(/^seed +7$/m);
    expect(shown.stdout).toMatch(/^video +video\/mp4, /m);

    const usage = await callCli(['usage', '--by', 'preset', '--csv', '--address', server.address]);
    expect(usage.stdout).toMatch(/^preset,completed,failed,.*\nnano,2,0,0,114,/);
    for (const [flag, args] of [
      ['--from', ['usage', '--from', '2200-01-01']],
      ['--to', ['usage', '--from', '2026-01-02', '--to', '2026-01-01']],
      ['--created-after', ['jobs', 'list', '--created-after', '2300-01-01']],
    ] as const) {
      expect(await callCli([...args, '--address', server.address])).toMatchObject({
        code: 2,
        stderr: expect.stringContaining(`\`${flag}\` must be a time`),
      });
    }
    expect(await callCli(['usage', '--from', 'monday'])).toMatchObject({
      code: 2,
      stderr: expect.stringContaining('`--from` must be a time from 1970 to 2286, such as 2026-11-29'),
    });

    const again = await jobs('retry', first.id);
    expect(again).toMatchObject({ code: 0, stdout: expect.stringMatching(/^video_[0-9a-f]{32} queued\n$/) });
    const retried = again.stdout.split(' ')[0]!;
    expect(retried).not.toBe(first.id);
    const facts = await Promise.all(
      [first.id, retried].map(async (each) => JSON.parse((await jobs('show', each, '--json')).stdout)),
    );
    expect(facts[1].settings).toEqual(facts[0].settings);
    expect(facts[0].settings).toMatchObject({ seed: '7', negativePrompt: 'squares', keyframes: { steps: 3 } });
    expect(facts[0]).toMatchObject({ state: 'succeeded', failure: null, frames: 57 });
    await client.cancelVideo({ id: retried }).catch(() => {});

    const own = ['--metadata', 'take=2', '--webhook', 'http://198.51.100.1/', '--webhook-events', 'queued, failed'];
    const finish = ['jobs', 'finish', first.id, '--fps', 'high', '--json', ...own, '--address', server.address];
    expect(await callCli(finish)).toMatchObject({
      code: 2,
      stderr: expect.stringContaining('`FUSIONFRAMES_WEBHOOK_SECRET` must be the secret that signs'),
    });
    const { stdout: made } = await callCli(finish, { FUSIONFRAMES_WEBHOOK_SECRET: 'secret' });
    const finished = JSON.parse(made);
    expect(finished).toMatchObject({
      remixedFrom: first.id,
      settings: { seed: '7', frameRate: 'high' },
      metadata: { take: '2' },
    });
    const { sql } = data.database;
    expect(
      await sql`select webhook->>'url' as url, webhook->'events' as events from jobs where id = ${finished.id}`,
    ).toEqual([{ url: 'http://198.51.100.1/', events: ['queued', 'failed'] }]);
    await client.cancelVideo({ id: finished.id }).catch(() => {});
  });
});

test('a file of prompts is made into videos; a repeated run makes only what is missing', () =>
  withGateway(async ({ server, client }) =>
    withTemporaryFolder(async (folder) => {
      const file = join(folder, 'prompts.jsonl');
      const lines = [
        { prompt: 'a red circle', seed: 1, name: 'circle' },
        { prompt: 'a blue square', metadata: { row: '2' }, n: 2 },
      ];
      const write = (all: unknown[]) => writeFile(file, all.map((each) => JSON.stringify(each)).join('\n'));
      await write(lines);
      const output = join(folder, 'made');
      const args = ['--output', output, '--steps', '2', '--interpolation-steps', '2', '--fps', 'low'];
      const facts = ['--metadata', 'run=1', '--deadline', '10m'];
      const run = () => callCli(['generate', '--prompts', file, ...args, ...facts, '--address', server.address]);
      expect(await run()).toMatchObject({ code: 0, stdout: `${output}: 3 videos made, 0 already present\n` });
      expect((await readdir(output)).sort()).toEqual(
        ['00002-1', '00002-2', 'circle'].flatMap((name) => [`${name}.json`, `${name}.mp4`, `${name}.storyboard.png`]),
      );
      await rm(join(output, 'circle.json'));
      await write([...lines, { prompt: 'a green star' }]);
      expect(await run()).toMatchObject({ code: 0, stdout: `${output}: 2 videos made, 2 already present\n` });
      // The circle's job was joined, not repeated.
      expect((await client.listVideos({ metadata: new Map([['run', '1']]) })).videos).toHaveLength(4);
      expect((await client.listVideos({ metadata: new Map([['row', '2']]) })).videos).toHaveLength(2);
      // Commands that look at videos can make them first.
      await write([{ prompt: 'a red circle', seed: 1, name: 'circle' }]);
      const compared = join(folder, 'compared');
      const making = ['--prompts', file, '--steps', '2', '--fps', 'low', '--address', server.address];
      const evaluate = ['evaluate', 'pairs', compared, compared, ...making, '--frames', '1', '--json'];
      const { stdout, stderr } = await callCli([...evaluate, '--output', join(folder, 'pairs.png')]);
      expect(JSON.parse(stdout)).toMatchObject({ mean: { mse: 0 }, videos: [{ name: 'circle' }] });
      expect(stderr).toContain(`${compared}: 1 videos made, 0 already present\n`);
      for (const [wrong, message] of [
        [{ prompt: 'a red circle', name: '../x' }, 'line 1: `name` must be'],
        [{ prompt: ' ' }, 'line 1: `prompt` must be 1 to 10000 characters'],
        [
          { prompt: 'a', negative_prompt: 'x'.repeat(10_001) },
          'line 1: `negative_prompt` must be at most 10000 characters',
        ],
      ] as const) {
        await write([wrong]);
        expect(await run()).toMatchObject({ code: 2, stderr: expect.stringContaining(message) });
      }
    }),
  ));

test('a watched job continues after Ctrl-C and is cancelled on request, as the watch says', async () => {
  const begun = deferred();
  const keyframes = async (_step: number, signal: AbortSignal) => {
    begun.resolve();
    await untilAborted(signal);
  };
  await withGateway(
    async ({ server, create, client, data }) => {
      const { id } = await create();
      await begun.promise;
      const options = ['--address', server.address];

      const paused = await create();
      const { sql } = data.database;
      await sql`update jobs set pauses = 1 where id = ${paused.id}`;
      await sql`update job_events set snapshot = jsonb_set(snapshot, '{pauses}', '1') where job_id = ${paused.id}`;
      expect((await callCli(['jobs', 'list', ...options])).stdout).toMatch(
        new RegExp(`^${paused.id} +paused +position \\d `, 'm'),
      );
      const progress: unknown[] = [];
      const assistant = connectGrpc({ address: server.address });
      await followVideo(assistant, paused.id, 0.5, {
        signal: new AbortController().signal,
        _meta: { progressToken: 1 },
        sendNotification: async ({ params }) => void progress.push(params),
      });
      assistant.close();
      expect(progress).toMatchObject([{ message: expect.stringMatching(/^paused: position \d/) }]);
      const left = startCli(['jobs', 'watch', id, ...options]);
      await eventually(() => left.stderr().includes('keyframes: started'));
      left.child.kill('SIGINT');
      expect(await left.finished).toMatchObject({ code: 130, stdout: '' });
      expect((await client.getVideo({ id })).video?.finishedAt).toBeUndefined();

      const watched = startCli(['jobs', 'watch', id, '--json', ...options]);
      await eventually(() => watched.stderr().includes('keyframes: started'));
      expect(await callCli(['jobs', 'cancel', id, ...options])).toMatchObject({ code: 0, stdout: `${id} cancelled\n` });
      const { code, stdout, stderr } = await watched.finished;
      expect(code).toBe(1);
      expect(stderr).toContain(`job ${id} was cancelled (CANCELLED)`);
      expect(JSON.parse(stdout)).toMatchObject({ id, state: 'cancelled' });
    },
    { hooks: { keyframes }, concurrentJobs: 1 },
  );
});

test('the key in the environment decides whose jobs are shown', async () => {
  await withGateway(async ({ server, data, create }) => {
    const { id } = await create();
    const keys = new ApiKeys(data.database.sql);
    const limits = { concurrentJobs: 0, queuedJobs: 0, requestsPerMinute: 0 };
    const reader = await keys.create({ name: 'reader', scopes: ['read'], limits });
    const admin = await keys.create({ name: 'admin', scopes: ['admin'], limits });
    const jobs = (key: string, ...args: string[]) =>
      callCli(['jobs', ...args, '--address', server.address], { FUSIONFRAMES_API_KEY: key });
    // The gateway may have asked just before there were any.
    await eventually(async () => (await jobs('', 'list')).stderr.includes('(UNAUTHENTICATED)'));
    expect(await jobs('ff_wrong', 'list')).toMatchObject({
      code: 1,
      stderr: expect.stringContaining('UNAUTHENTICATED'),
    });
    expect(await jobs('two words', 'list')).toMatchObject({
      code: 2,
      stderr: expect.stringContaining('FUSIONFRAMES_API_KEY'),
    });
    expect((await jobs(reader.text, 'show', id)).stderr).toContain('(NOT_FOUND)');
    expect((await jobs(reader.text, 'cancel', id)).stderr).toContain('(PERMISSION_DENIED)');
    expect((await jobs(`${admin.text}\n`, 'show', id)).stdout).toContain(id);
  });
});

test.each([
  [['show'], 2, '`id` is required'],
  [['list', '--limit', '0'], 2, '(got "0")'],
  [['list', '--limit', 'many'], 2, '(got "many")'],
  [['finish', 'x', '--webhook-events', 'queued'], 2, '`--webhook-events` must be absent without --webhook'],
  [['retry', 'x', '--metadata', 'red'], 2, '`--metadata` must be name=value (got "red")'],
  [['list', '--address', '127.0.0.1:1'], 1, 'VideoService/ListVideos at 127.0.0.1:1: no connection'],
  [['show', 'x', '--address', '127.0.0.1:1'], 1, 'start a gateway with `fusionframes serve`, or name a running one'],
] as const)('jobs %j is refused', async (args, code, message) => {
  expect(await callCli(['jobs', ...args])).toMatchObject({
    code,
    stdout: '',
    stderr: expect.stringContaining(message),
  });
});

test.each(['show', 'watch', 'cancel', 'retry'])('%s of a job that is not there says so', async (command) => {
  await withGateway(async ({ server }) => {
    expect(await callCli(['jobs', command, 'video_0', '--address', server.address])).toMatchObject({
      code: 1,
      stdout: '',
      stderr: expect.stringContaining('(NOT_FOUND)'),
    });
  });
});
