import { describe, expect, test } from '@jest/globals';
import { loadPreset, type Preset } from '../../services/pipeline/preset.ts';
import { servedModels } from '../packaging/served-models.ts';
import { trtexecArguments } from './engine-profiles.ts';
import { planEngines } from './plan-engines.ts';

const plan = (preset: Preset, gigabytes: number, isPerStage = false) =>
  planEngines(preset, servedModels(preset), { deviceMemory: gigabytes * 1e9, isPerStage });
const published = loadPreset('kandinsky-video-1.0');
/** By GB; each takes a while. */
const plans = new Map<number, ReturnType<typeof plan>>();

function planPublished(gigabytes: number) {
  const made = plans.get(gigabytes) ?? plan(published, gigabytes);
  plans.set(gigabytes, made);
  return made;
}

describe('how many videos share a batch', () => {
  const batches = (gigabytes: number) =>
    Object.fromEntries([...planPublished(gigabytes)].map(([name, { maxBatchSize }]) => [name, maxBatchSize]));

  test('one on 80 GB, two on 141 GB; a guided step has two items, a frame is one', () => {
    expect(batches(80)).toEqual({ text_encoder: 2, keyframe_unet: 2, interpolation_unet: 2, movq_decoder: 1 });
    expect(batches(141)).toEqual({ text_encoder: 4, keyframe_unet: 4, interpolation_unet: 4, movq_decoder: 2 });
  });

  test('never more than four', () => {
    expect(batches(10_000).keyframe_unet).toBe(8);
  });

  test('a device too small for one video is rejected, listing what each network needs', () => {
    expect(() => planPublished(24)).toThrow(
      /24 GB given, of which 90 %.*\n {2}text_encoder: weights 22 GB, activations .*keyframe_unet: weights 8\.3\d? GB/s,
    );
  });
});

test('the models of Kandinsky Video 1.1 fit on a GPU of 80 GB for each stage, but not all on one', () => {
  const preset = loadPreset('kandinsky-video-1.1');
  expect(() => plan(preset, 80)).toThrow(/a GPU for each stage \(--gpu-per-stage\)/);
  const batches = [...plan(preset, 80, true)].map(([name, { maxBatchSize }]) => [name, maxBatchSize]);
  expect(Object.fromEntries(batches)).toMatchObject({ keyframe_unet: 12, first_frame_unet: 8, picture_decoder: 4 });
  expect(() => plan(preset, 20, true)).toThrow(
    /20 GB given, of which 90 %.*\n {2}text_encoder: weights 22 GB, [^;]*\nallowed: more memory \(--gpu-memory\), or fewer/,
  );
});

describe('profiles', () => {
  test('one for each compiled size, from one video to the largest batch; texts of any length', () => {
    const { profiles } = planPublished(141).get('keyframe_unet')!;
    expect(profiles.map(({ name }) => name)).toEqual(['512x512', '640x384', '384x640']);
    expect(profiles[1]!.shapes).toMatchObject({
      latents: { min: [1, 15, 4, 48, 80], opt: [2, 15, 4, 48, 80], max: [4, 15, 4, 48, 80] },
      context: { min: [1, 1, 4096], opt: [2, 128, 4096], max: [4, 128, 4096] },
      timestep: { min: [1, 1], opt: [2, 1], max: [4, 1] },
    });
  });

  test('each interpolation pass has its own, tuned for it', () => {
    const { profiles } = planPublished(80).get('interpolation_unet')!;
    expect(profiles.map(({ name }) => name).slice(0, 3)).toEqual([
      '512x512-14-groups',
      '512x512-56-groups',
      '640x384-14-groups',
    ]);
    expect(profiles.slice(0, 2).map(({ shapes }) => shapes.latents)).toEqual(
      [14, 56].map((groups) => ({
        min: [1, groups, 20, 64, 64],
        opt: [2, groups, 20, 64, 64],
        max: [2, groups, 20, 64, 64],
      })),
    );
  });

  test('networks independent of the size have one', () => {
    expect(
      planPublished(80)
        .get('text_encoder')!
        .profiles.map(({ name }) => name),
    ).toEqual(['all']);
  });

  test('all window lengths of a temporal decoder', () => {
    const temporal = loadPreset('kandinsky-video-1.0-temporal-decoder');
    const { profiles } = plan(temporal, 80).get('movq_decoder')!;
    expect(profiles.map(({ shapes }) => shapes.latents)).toEqual([
      { min: [1, 2, 4, 64, 64], opt: [1, 5, 4, 64, 64], max: [1, 5, 4, 64, 64] },
    ]);
  });

  test('as arguments of trtexec', () => {
    const shapes = { x: { min: [1, 4], opt: [2, 4], max: [8, 4] }, t: { min: [1, 1], opt: [2, 1], max: [8, 1] } };
    expect(trtexecArguments([{ name: '64x64', shapes }], 'bfloat16')).toBe(`# operators 10.1
# precision bfloat16
--stronglyTyped
# profile 64x64
--profile=0
--minShapes=x:1x4,t:1x1
--optShapes=x:2x4,t:2x1
--maxShapes=x:8x4,t:8x1
`);
  });

  test('a size that the networks do not support is rejected', () => {
    const compiled = [{ width: 520, height: 512 }];
    expect(() => plan({ ...published, frameSize: { ...published.frameSize, compiled } }, 80)).toThrow(
      '`frameSize.compiled` must be multiples of 64 from 64×64 to 1024×1024 (got 520×512)',
    );
  });
});
