import { afterAll, expect, test } from '@jest/globals';
import { Status } from 'nice-grpc-common';
import { FrameRate, JobState, Stage, VideoFormat } from '../../proto/gen/fusionframes/v1/video.ts';
import { FusionError } from '../../services/kit/errors.ts';
import { loadPreset } from '../../services/pipeline/preset.ts';
import { ApiKeys } from '../keys/api-keys.ts';
import { stopTestServer } from '../testing/data.ts';
import { type TestHttp, withHttp } from '../testing/http.ts';
import { videoOf } from '../testing/standstill.ts';
import { surplusResults } from './store/kept-results.ts';
import { videoWork } from './video-work.ts';

afterAll(stopTestServer);

const preset = loadPreset('nano');
const small = { prompt: 'a red circle', seed: '7', frame_rate: 'low' };

/** Gateways on stages that count their runs and name a model. */
function withModel(use: (http: TestHttp, runs: string[], name: (model: string) => void) => Promise<void>) {
  const runs: string[] = [];
  let model = 'one';
  const count = (stage: string) => async (step: number) => {
    if (step === 1) {
      runs.push(stage);
    }
  };
  const hooks = { model: () => model, keyframes: count('keyframes'), interpolation: count('interpolation') };
  return withHttp((http) => use(http, runs, (name) => (model = name)), { hooks });
}

test('a repeated request, another frame rate or format reuses the stages that other videos of the key have run', () =>
  withModel(async (http, runs, name) => {
    const make = async (fields: object, headers = {}) => http.ended((await http.make(fields, headers)).id, headers);
    const first = await make(small);
    expect([first.reused, first.usage.reused_stages, runs]).toEqual([[], 0, ['keyframes']]);
    const again = await make({ ...small, format: 'webp' });
    expect([again.reused, again.usage.reused_stages, runs]).toEqual([['keyframes'], 1, ['keyframes']]);
    expect(again.stages[1]).toMatchObject({ stage: 'keyframes', step: 3, total: 3, reused: true });
    const longer = await make({ ...small, frame_rate: 'medium' });
    expect([longer.reused, runs]).toEqual([['keyframes'], ['keyframes', 'interpolation']]);
    const longest = await make({ ...small, frame_rate: 'high' });
    expect(longest.reused).toEqual(['keyframes', 'interpolation']);
    expect(runs).toEqual(['keyframes', 'interpolation', 'interpolation']);
    for (const other of [{ seed: '8' }, { steps: 4 }, { prompt: 'a blue circle' }]) {
      expect((await make({ ...small, ...other })).reused).toEqual([]);
    }
    name('two');
    expect((await make(small)).reused).toEqual([]);
    name('one');
    const keys = new ApiKeys(http.data.database.sql);
    const limits = { concurrentJobs: 0, queuedJobs: 0, requestsPerMinute: 0 };
    const { text } = await keys.create({ name: 'other', scopes: ['read', 'create'], limits });
    const other = { authorization: `Bearer ${text}` };
    expect((await make(small, other)).reused).toEqual([]);
    expect((await make(small, other)).reused).toEqual(['keyframes']);
  }));

test('the chosen one of several drafts is finished with the bytes of the whole video', () =>
  withModel(async (http, runs) => {
    const drafts = await http.send('/v1/videos', { method: 'POST', body: { ...small, steps: 3, n: 3 } });
    expect(drafts.json.data.map(({ seed }: { seed: string }) => seed)).toEqual(['7', '8', '9']);
    const [, { id }] = drafts.json.data;
    await http.ended(id);
    const body = { frame_rate: 'high', metadata: { chosen: 'yes' } };
    const finished = await http.send(`/v1/videos/${id}/finish`, { method: 'POST', body });
    const video = await http.ended(finished.json.id);
    expect(video).toMatchObject({
      ...{ status: 'completed', seed: '8', frame_rate: 'high', frames: 225, reused: ['keyframes'] },
      ...{ remixed_from_video_id: id, metadata: { chosen: 'yes' } },
    });
    // It was charged for what ran.
    const charges = await http.data.database.sql`
      select kept_stages as kept, work from jobs where id in (${id}, ${video.id}) order by sequence`;
    expect(charges).toMatchObject([{ kept: 0 }, { kept: 1 }]);
    const settings = { width: 128, height: 128, frameRate: 'high', keyframes: { steps: 3 } } as const;
    const { steps } = video.interpolation;
    const whole = videoWork({ ...settings, interpolation: { steps } }, preset);
    expect(charges[1]!.work).toBeCloseTo(whole - (3 * 15 * 128 * 128) / 1e6);
    // Without what is kept, everything runs again.
    await http.data.database.sql`update job_results set used_at = null`;
    const again = await http.ended((await http.make({ ...small, seed: '8', frame_rate: 'high' })).id);
    expect(again.reused).toEqual([]);
    expect(await videoOf(http, video.id)).toBe(await videoOf(http, again.id));
    expect(runs.filter((stage) => stage === 'keyframes')).toHaveLength(4);

    const { client } = http;
    const overGrpc = await client.finishVideo({ id, format: VideoFormat.VIDEO_FORMAT_WEBP });
    expect(overGrpc.video?.settings).toMatchObject({ seed: 8n, frameRate: FrameRate.FRAME_RATE_MEDIUM, format: 2 });
    const two = await http.send('/v1/videos', { method: 'POST', body: { prompt: 'a circle', n: 2 } });
    expect(two.json.data[0].seed).not.toBe(two.json.data[1].seed);
    for (const video of [overGrpc.video!, ...two.json.data]) {
      await client.cancelVideo({ id: video.id }).catch(() => {});
    }
    const failed = await http.send(`/v1/videos/${two.json.data[0].id}/finish`, { method: 'POST' });
    expect([failed.status, failed.json.error.code]).toEqual([400, 'wrong_state']);
    for (const n of [0, 101, 1.5]) {
      const refused = await http.send('/v1/videos', { method: 'POST', body: { ...small, n } });
      expect([refused.status, refused.json.error.param]).toEqual([400, 'n']);
    }
    const batch = await http.send('/v1/videos/batch', { method: 'POST', body: { videos: [{ ...small, n: 2 }] } });
    expect([batch.status, batch.json.error.param]).toEqual([400, 'videos.0.n']);
  }));

test('kept results are bounded by time and size, go with their video, and a lost one is made again', () =>
  withModel(async (http) => {
    const { sql } = http.data.database;
    const { id } = await http.make(small);
    await http.ended(id);
    const bounds = { keepResultsSeconds: 3600, keepResultsBytes: 1e9 };
    expect(await surplusResults(sql, bounds)).toEqual([]);
    const [kept] = await surplusResults(sql, { ...bounds, keepResultsBytes: 10 });
    expect(kept).toMatchObject({ job: id, stage: 'keyframes' });
    await sql`update job_results set used_at = now() - interval '2 hours'`;
    expect(await surplusResults(sql, bounds)).toEqual([kept]);
    await http.data.objects.removeAll(kept!.key.slice(0, kept!.key.lastIndexOf('/')));
    expect((await http.ended((await http.make(small)).id)).reused).toEqual([]);
    await http.send(`/v1/videos/${id}`, { method: 'DELETE' });
    await http.data.objectKeys((key) => !key.startsWith(`${id}/`));
    expect(await sql`select * from job_results where job_id = ${id}`).toEqual([]);
  }));

test('a job that meets another model starts over instead of mixing', async () => {
  const runs: string[] = [];
  let [model, left] = ['one', 1];
  const hooks = {
    model: () => model,
    keyframes: async (step: number) => void (step === 1 && runs.push(`keyframes of ${model}`)),
    interpolation: async () => {
      if (left-- > 0) {
        model = 'two';
        throw new FusionError(Status.UNAVAILABLE, 'the replica was replaced');
      }
    },
    // Notices it only before the decoder.
    encode: async () => {},
  };
  await withHttp(
    async (http) => {
      const { id } = await http.create({ seed: 3n, frameRate: FrameRate.FRAME_RATE_MEDIUM });
      const video = (await http.watch(id)).at(-1)!;
      expect(video).toMatchObject({ state: JobState.JOB_STATE_SUCCEEDED, attempt: 2 });
      expect(video.stages.map(({ stage }) => stage)).toEqual([
        Stage.STAGE_TEXT_ENCODER,
        Stage.STAGE_KEYFRAMES,
        Stage.STAGE_INTERPOLATION,
        Stage.STAGE_DECODER,
      ]);
      expect(video.usage).toMatchObject({ reusedStages: 0n });
      expect(runs).toEqual(['keyframes of one', 'keyframes of two']);
    },
    { hooks },
  );
});
