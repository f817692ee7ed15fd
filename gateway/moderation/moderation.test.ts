import { once } from 'node:events';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { json as readJson } from 'node:stream/consumers';
import { afterAll, afterEach, beforeAll, describe, expect, test } from '@jest/globals';
import { Status } from 'nice-grpc-common';
import sharp from 'sharp';
import { JobState, Stage } from '../../proto/gen/fusionframes/v1/video.ts';
import { FusionError } from '../../services/kit/errors.ts';
import { createLogger } from '../../services/kit/log.ts';
import { readSettings } from '../../services/kit/settings.ts';
import { eventually } from '../../test/support/cli.ts';
import { FrameCheck, type FrameCheckOptions } from '../jobs/work/frame-check.ts';
import type { ObjectStore } from '../storage/object-store.ts';
import { stopTestServer, withData } from '../testing/data.ts';
import { startTestGateway, testClient } from '../testing/gateway.ts';
import { withHttp } from '../testing/http.ts';
import { startStageDoubles } from '../testing/stage-doubles.ts';
import { Moderation } from './moderation.ts';
import { type ModerationOptions, moderationSettings } from './moderation-settings.ts';

interface Question {
  check: 'prompt' | 'frames';
  prompt: string;
  frames?: { index: number; media_type: string; data: string }[];
}

const asked: { question: Question; authorization: string | undefined }[] = [];
let answer: (question: Question, response: ServerResponse, request: IncomingMessage) => void;

const service = createServer(async (request, response) => {
  const question = (await readJson(request)) as Question;
  asked.push({ question, authorization: request.headers.authorization });
  answer(question, response, request);
});

beforeAll(async () => {
  await once(service.listen(0, '127.0.0.1'), 'listening');
});

afterEach(() => {
  asked.length = 0;
});

afterAll(async () => {
  service.closeAllConnections();
  service.close();
  await stopTestServer();
});

function options(environment: Record<string, string> = {}): ModerationOptions {
  const { port } = service.address() as AddressInfo;
  return readSettings(moderationSettings, {
    FUSIONFRAMES_MODERATION_URL: `http://127.0.0.1:${port}/check`,
    FUSIONFRAMES_MODERATION_TOKEN: 'secret',
    ...environment,
  });
}

/** Refuses whatever the prompt requests to be refused. */
function byPrompt({ check, prompt }: Question, response: ServerResponse): void {
  const isRefused = prompt.includes(`bad ${check}`);
  response.end(
    JSON.stringify({ verdict: isRefused ? 'refuse' : 'allow', reason: isRefused ? 'not\u001b here' : null }),
  );
}

describe('a gateway with moderation', () => {
  test('refuses prompts and videos with the reason, and shows nothing before the frames have passed', async () => {
    answer = byPrompt;
    await withHttp(
      async (http) => {
        const good = await http.make({ previews: true });
        expect(await http.ended(good.id)).toMatchObject({
          status: 'completed',
          warnings: ['No previews: this gateway shows videos only after they have passed moderation'],
          files: ['video', 'thumbnail', 'spritesheet', 'storyboard'].map((variant) =>
            expect.objectContaining({ variant }),
          ),
        });
        expect(asked.map(({ question: { check } }) => check)).toEqual(['prompt', 'frames']);
        expect(asked[0]).toEqual({
          authorization: 'Bearer secret',
          question: {
            version: 1,
            check: 'prompt',
            key_id: '',
            model: 'nano',
            prompt: 'a red circle',
            negative_prompt: '',
          },
        });
        const { frames, ...question } = asked[1]!.question;
        expect(question).toMatchObject({ video: good.id, frame_count: 15, prompt: 'a red circle' });
        expect(frames!.map(({ index, media_type }) => [index, media_type])).toEqual([
          [2, 'image/png'],
          [7, 'image/png'],
          [12, 'image/png'],
        ]);
        const picture = await sharp(Buffer.from(frames![0]!.data, 'base64')).metadata();
        expect(picture).toMatchObject({ format: 'png', width: 128, height: 128 });

        const body = { prompt: 'a bad prompt', frame_rate: 'low' };
        const refused = await http.send('/v1/videos', { method: 'POST', body });
        expect(refused).toMatchObject({
          status: 400,
          json: {
            error: {
              code: 'prompt_refused',
              param: 'prompt',
              message: 'Moderation refused the `prompt`: not\\u001b here',
            },
          },
        });
        await expect(http.create({ prompt: 'a bad prompt' })).rejects.toMatchObject({
          code: Status.INVALID_ARGUMENT,
          reason: 'PROMPT_REFUSED',
          field: 'prompt',
        });

        // All prompts of a batch at once, equal ones once, however slow the service.
        asked.length = 0;
        answer = (question, response) => {
          if (asked.length === 3) {
            answer = byPrompt;
          }
          setTimeout(() => byPrompt(question, response), asked.length < 3 ? 500 : 0);
        };
        const videos = ['a circle', 'a bad prompt', 'a square', 'a circle'].map((prompt) => ({ ...body, prompt }));
        const batch = await http.send('/v1/videos/batch', { method: 'POST', body: { videos } });
        expect(batch).toMatchObject({ status: 400, json: { error: { param: 'videos.1.prompt' } } });
        expect(asked).toHaveLength(3);

        const bad = await http.make({ prompt: 'bad frames' });
        expect(await http.ended(bad.id)).toMatchObject({
          status: 'failed',
          attempt: 1,
          files: [],
          error: {
            code: 'video_refused',
            status: 'failed_precondition',
            stage: 'decoder',
            message: 'Moderation refused the video: not\\u001b here',
          },
        });
        expect(await http.data.objectKeys((key) => key.includes(good.id))).not.toHaveLength(0);

        // A repeated request returns its job, whatever the service would answer by now.
        const repeated = { 'idempotency-key': 'once' };
        const first = await http.make({ seed: 1 }, repeated);
        answer = (_, response) => response.end('{"verdict": "refuse"}');
        expect(await http.make({ seed: 1 }, repeated)).toMatchObject({ id: first.id });
      },
      options({ FUSIONFRAMES_MODERATION_FRAMES: '3', FUSIONFRAMES_MODERATION_FRAME_FORMAT: 'png' }),
    );
  });

  test('asks once about the frames, however often the job is interrupted after the verdict', () =>
    withData(async (data) => {
      answer = (_, response) => response.end(`{"verdict": "${asked.length === 1 ? 'allow' : 'refuse'}"}`);
      let failures = 2;
      const { objects } = data;
      const put: ObjectStore['put'] = async (key, body, putOptions) => {
        if (key.includes('video.mp4') && failures-- > 0) {
          throw new FusionError(Status.UNAVAILABLE, 'the bucket is away');
        }
        return objects.put(key, body, putOptions);
      };
      const failing = { ...data, objects: { ...bound(objects), put } };
      const stages = await startStageDoubles();
      const server = await startTestGateway(
        failing,
        stages.address,
        options({ FUSIONFRAMES_MODERATION_CHECKS: 'frames' }),
      );
      const gateway = testClient(server.address);
      const { id } = await gateway.create();
      expect((await gateway.watch(id)).at(-1)).toMatchObject({ state: JobState.JOB_STATE_SUCCEEDED, attempt: 3 });
      expect(asked).toHaveLength(1);
      gateway.close();
      await server.stop();
      await stages.stop();
    }));

  test('that fails open continues with a warning; one that fails closed refuses and retries', async () => {
    answer = (_, response) => response.writeHead(500).end();
    const open = options({ FUSIONFRAMES_MODERATION_ON_FAILURE: 'allow' });
    await withHttp(async (http) => {
      const { id } = await http.make();
      expect((await http.ended(id)).warnings).toEqual([
        'The prompt was not moderated: the moderation service answered 500 (expected 200)',
        'The frames were not moderated: the moderation service answered 500 (expected 200)',
      ]);
    }, open);
    await withHttp(
      async (http) => {
        const refused = await http.send('/v1/videos', { method: 'POST', body: { prompt: 'a red circle' } });
        expect(refused).toMatchObject({
          status: 503,
          json: {
            error: { code: 'moderation_unavailable', message: 'The moderation service answered 500 (expected 200)' },
          },
        });
        answer = ({ check }, response) =>
          check === 'prompt' ? response.end('{"verdict": "allow"}') : response.writeHead(500).end();
        const job = await http.create();
        expect((await http.watch(job.id)).at(-1)).toMatchObject({
          state: JobState.JOB_STATE_FAILED,
          attempt: 2,
          failure: { code: 'UNAVAILABLE', errorReason: 'MODERATION_UNAVAILABLE', stage: Stage.STAGE_DECODER },
        });
      },
      { ...options(), stageAttempts: 2 },
    );
  });
});

test('a refusal that was recorded holds for the next attempt', () => {
  const recorded = { verdict: 'refuse', reason: 'not here' } as const;
  const check = new FrameCheck({ moderation: undefined, recorded, video: 'v' } as FrameCheckOptions);
  expect(() => check.requireNotRefused()).toThrow('Moderation refused the video: not here');
});

describe('a moderation service that', () => {
  const prompt = { keyId: '', model: 'nano', prompt: 'a red circle', negativePrompt: '' };
  const ask = (environment: Record<string, string> = {}) =>
    new Moderation(options(environment), createLogger('test', 'silent')).askAboutPrompt(prompt);

  test.each<[string, typeof answer, string | RegExp]>([
    [
      'redirects',
      (_, response) => response.writeHead(302, { location: 'http://127.0.0.1:1/' }).end(),
      'answered 302 (expected 200)',
    ],
    [
      'answers text',
      (_, response) => response.end('yes'),
      'did not answer with a JSON object whose `verdict` is allow or refuse',
    ],
    ['answers another verdict', (_, response) => response.end('{"verdict": "maybe"}'), /verdict/],
    ['answers null', (_, response) => response.end('null'), /verdict/],
    ['answers nothing', (_, response) => response.end(), /verdict/],
    [
      'answers too much',
      (_, response) => response.end(`{"verdict": "allow"}${' '.repeat(1 << 17)}`),
      'answered with more than 65536 bytes',
    ],
    [
      'breaks off',
      (_, response) => response.write('{', () => response.destroy()),
      'stopped in the middle of its answer (connection reset by peer)',
    ],
    ['closes the connection', (_, __, request) => request.socket.destroy(), 'could not be reached (socket hang up)'],
  ])('%s has failed', async (_, behaviour, problem) => {
    answer = behaviour;
    const message = typeof problem === 'string' ? `The moderation service ${problem}` : problem;
    await expect(ask()).rejects.toMatchObject({
      code: Status.UNAVAILABLE,
      reason: 'MODERATION_UNAVAILABLE',
      message: typeof message === 'string' ? message : expect.stringMatching(message),
    });
  });

  test('is shown the picture that the video begins with', async () => {
    answer = (_, response) => response.end('{"verdict": "allow"}');
    const moderation = new Moderation(options(), createLogger('test', 'silent'));
    await moderation.askAboutPrompt({ ...prompt, picture: Buffer.from('PNG') });
    expect(asked[0]!.question).toMatchObject({ check: 'prompt', picture: { media_type: 'image/png', data: 'UE5H' } });
  });

  test('hangs is given up, and each call has its own time, from when it is made', async () => {
    answer = () => {
      answer = (_, response) => response.end('{"verdict": "allow"}');
    };
    const environment = { FUSIONFRAMES_MODERATION_TIMEOUT_SECONDS: '1', FUSIONFRAMES_MODERATION_CALLS: '1' };
    const slow = new Moderation(options(environment), createLogger('test', 'silent'));
    const [first, second] = await Promise.allSettled([slow.askAboutPrompt(prompt), slow.askAboutPrompt(prompt)]);
    expect(first).toMatchObject({ reason: { message: 'The moderation service gave no answer within 1 s' } });
    expect(second).toMatchObject({ value: { verdict: 'allow' } });
    expect(asked).toHaveLength(2);
  });

  test('fails open is not skipped because others wait for it', async () => {
    const held: ServerResponse[] = [];
    answer = (_, response) => void held.push(response);
    const environment = { FUSIONFRAMES_MODERATION_ON_FAILURE: 'allow', FUSIONFRAMES_MODERATION_CALLS: '1' };
    const full = new Moderation(options(environment), createLogger('test', 'silent'), 0.1);
    const first = full.askAboutPrompt(prompt);
    await expect(full.askAboutPrompt(prompt)).rejects.toMatchObject({
      code: Status.RESOURCE_EXHAUSTED,
      reason: 'TOO_MANY_CALLS',
    });
    await eventually(() => held.length === 1);
    held[0]!.end('{"verdict": "allow"}');
    expect(await first).toEqual({ verdict: 'allow' });
  });

  test('gives a long reason has it cut; a missing one is reported', async () => {
    answer = (_, response) => response.end(JSON.stringify({ verdict: 'refuse', reason: 'x'.repeat(1000) }));
    expect(await ask()).toEqual({ verdict: 'refuse', reason: `${'x'.repeat(297)}...` });
    answer = (_, response) => response.end('{"verdict": "refuse", "categories": ["a"]}');
    expect(await ask()).toEqual({ verdict: 'refuse', reason: 'no reason given' });
  });

  test('is still waited for when the job is cancelled: the call ends', async () => {
    answer = () => {};
    const moderation = new Moderation(options(), createLogger('test', 'silent'));
    const job = new AbortController();
    const call = moderation.askAboutVideo({ ...prompt, video: 'v', frameCount: 1, frames: [] }, job.signal);
    job.abort();
    await expect(call).rejects.toMatchObject({ name: 'AbortError' });
  });
});

/** The store's methods, for an object that replaces some. */
function bound(objects: ObjectStore): ObjectStore {
  return {
    put: (key, body, putOptions) => objects.put(key, body, putOptions),
    open: (key, range) => objects.open(key, range),
    removeAll: (prefix) => objects.removeAll(prefix),
    close: () => objects.close(),
  };
}
