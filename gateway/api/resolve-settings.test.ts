import { describe, expect, test } from '@jest/globals';
import { Status } from 'nice-grpc-common';
import { Motion, Sampler, type Sampling } from '../../proto/gen/fusionframes/v1/tensor.ts';
import { FrameRate, Quality, VideoFormat, VideoSettings } from '../../proto/gen/fusionframes/v1/video.ts';
import type { FusionError } from '../../services/kit/errors.ts';
import { servedByEngines } from '../../services/pipeline/frame-sizes.ts';
import { loadPreset, samplerNames } from '../../services/pipeline/preset.ts';
import { resolveSettings } from './resolve-settings.ts';

const preset = loadPreset('kandinsky-video-1.0');
const engines = servedByEngines(preset);
const onePass = { ...preset, interpolation: { ...preset.interpolation, skips: [3] } };

function resolve(settings: Parameters<typeof VideoSettings.fromPartial>[0], of = preset) {
  return resolveSettings(VideoSettings.fromPartial({ prompt: 'a fox', ...settings }), of);
}

const keyframes = (sampling: Partial<Sampling>) => ({ keyframes: sampling });
const interpolation = (sampling: Partial<Sampling>) => ({ interpolation: sampling });

test('options of a first frame are for presets that continue one, and have defaults there', () => {
  const continuing = loadPreset('kandinsky-video-1.1');
  const given = { motion: Motion.MOTION_EXTREME, noiseAugmentation: 0 };
  expect(resolve(given, continuing)).toMatchObject({ motion: 'extreme', noiseAugmentation: 0, imageGuidanceScale: 2 });
  expect(resolve({}, continuing)).toMatchObject({ motion: 'medium', noiseAugmentation: 20 });
  expect(resolve({}).motion).toBeUndefined();
  const fault = '`motion` must be absent: kandinsky-video-1.0 does not have this option (got "extreme")';
  expect(() => resolve(given)).toThrow(fault);
  expect(() => resolve({ motion: 9 as Motion }, continuing)).toThrow(
    '`motion` must be one of low, medium, high, extreme',
  );
});

test('the perturbation is for presets whose network is told of it', () => {
  expect(resolve({ perturbation: 250 }).perturbation).toBe(250);
  expect(resolve({ perturbation: 25 }, loadPreset('kandinsky-video-1.1')).perturbation).toBe(25);
  const without = structuredClone(loadPreset('kandinsky-video-1.1'));
  delete without.interpolation.network.perturbation_input;
  expect(resolve({}, without).perturbation).toBeUndefined();
  expect(() => resolve({ perturbation: 0 }, without)).toThrow('`perturbation` must be absent: kandinsky-video-1.1');
  expect(() => resolve({ perturbation: 251 })).toThrow('`perturbation` must be a whole number from 0 to 250 (got 251)');
});

describe('errors name the field, the value and what is allowed', () => {
  test.each<[string, Parameters<typeof resolve>[0], string]>([
    ['prompt', { prompt: '' }, '`prompt` must be 1 to 10000 characters (got "")'],
    ['prompt', { prompt: ' \n' }, '`prompt` must be 1 to 10000 characters (got " \\n")'],
    ['prompt', { prompt: 'x'.repeat(10_001) }, '`prompt` must be at most 10000 characters (got 10001)'],
    [
      'negative_prompt',
      { negativePrompt: 'x'.repeat(10_001) },
      '`negative_prompt` must be at most 10000 characters (got 10001)',
    ],
    ['width', { width: 100 }, '`width` must be a multiple of 64 from 64 to 1024 (got 100)'],
    ['width', { width: 56 }, '`width` must be a multiple of 64 from 64 to 1024 (got 56)'],
    ['height', { height: 1032 }, '`height` must be a multiple of 64 from 64 to 1024 (got 1032)'],
    ['height', { height: 4_294_967_288 }, '`height` must be a whole number from 1 to 16384 (got 4294967288)'],
    ['frame_rate', { frameRate: 7 as FrameRate }, '`frame_rate` must be one of low, medium, high (got 7)'],
    ['format', { format: 9 as VideoFormat }, '`format` must be one of mp4, webp (got 9)'],
    [
      'keyframes.sampler',
      keyframes({ sampler: 12 as Sampler }),
      `\`keyframes.sampler\` must be one of ${samplerNames.join(', ')} (got 12)`,
    ],
    [
      'keyframes.steps',
      keyframes({ steps: 1001 }),
      '`keyframes.steps` must be a whole number from 1 to 1000 (got 1001)',
    ],
    [
      'interpolation.guidance_scale',
      interpolation({ guidanceScale: -0.5 }),
      '`interpolation.guidance_scale` must be a number from 0 to 50 (got -0.5)',
    ],
    [
      'keyframes.guidance_scale',
      keyframes({ guidanceScale: Number.NaN }),
      '`keyframes.guidance_scale` must be a number from 0 to 50 (got NaN)',
    ],
    [
      'keyframes.guidance_scale',
      keyframes({ guidanceScale: Number.POSITIVE_INFINITY }),
      '`keyframes.guidance_scale` must be a number from 0 to 50 (got Infinity)',
    ],
  ])('%s: %o', (field, settings, message) => {
    const error = thrownBy(() => resolve(settings));
    expect(error.message).toBe(message);
    expect(error).toMatchObject({ code: Status.INVALID_ARGUMENT, field });
  });

  test.each([
    [{ width: 576 }, 'width', '`width` must be one of 512, 640, 384; '],
    [{ height: 448 }, 'height', '`height` must be one of 512, 384, 640; '],
    [{ width: 640, height: 512 }, 'height', '`height` must be 384 with a width of 640; '],
  ])('a size without an engine: %j', (settings, field, message) => {
    const error = thrownBy(() => resolve(settings, engines));
    expect(error).toMatchObject({ code: Status.INVALID_ARGUMENT, field });
    expect(error.message.startsWith(`${message}this server makes videos of 512x512, 640x384, 384x640 (got `)).toBe(
      true,
    );
  });

  test('a frame rate for which the preset has no passes', () => {
    expect(thrownBy(() => resolve({ frameRate: FrameRate.FRAME_RATE_HIGH }, onePass))).toMatchObject({
      field: 'frame_rate',
      message: '`frame_rate` must be one of low, medium (got "high")',
    });
  });
});

test('sizes with an engine are accepted', () => {
  expect(resolve({ width: 640, height: 384 }, engines)).toMatchObject({ width: 640, height: 384 });
  expect(resolve({}, engines)).toMatchObject(preset.frameSize.default);
});

test("absent values take the preset's defaults", () => {
  expect(resolve({ negativePrompt: '  ' })).toEqual({
    prompt: 'a fox',
    negativePrompt: '',
    seed: expect.any(BigInt),
    frameRate: preset.defaultFrameRate,
    quality: 'lossless',
    ...preset.frameSize.default,
    keyframes: preset.keyframes.defaults,
    interpolation: preset.interpolation.defaults,
    perturbation: 0,
    format: 'mp4',
    keepFrames: false,
  });
});

test('a quality gives the defaults that the preset states for it', () => {
  const nano = loadPreset('nano');
  const { quality, keyframes } = resolve({}, nano);
  expect([quality, keyframes]).toEqual(['high', nano.keyframes.defaults]);
  expect(resolve({ quality: Quality.QUALITY_LOSSLESS }, nano).keyframes).toEqual({
    ...keyframes,
    steps: 20,
    guidanceScale: 1,
  });
  const fast = resolve({ quality: Quality.QUALITY_FAST, keyframes: { guidanceScale: 1 } }, nano).keyframes;
  expect(fast).toEqual({ ...keyframes, steps: 4, guidanceScale: 1 });
  const pair = { prompt: 'a red circle and a blue star on a black background' };
  expect(resolve(pair, nano).keyframes).toEqual({ ...keyframes, guidanceScale: 1 });
  expect(resolve({ ...pair, quality: Quality.QUALITY_FAST }, nano).keyframes.guidanceScale).toBe(0);
  expect(thrownBy(() => resolve({ quality: Quality.QUALITY_FAST }))).toMatchObject({
    field: 'quality',
    message: '`quality` must be lossless (got "fast")',
  });
});

test('a request without a seed gets a new one each time', () => {
  expect(resolve({}).seed).not.toBe(resolve({}).seed);
});

test('values are kept within limits', () => {
  const largest = {
    seed: 2n ** 64n - 1n,
    width: 1024,
    height: 64,
    frameRate: FrameRate.FRAME_RATE_HIGH,
    format: VideoFormat.VIDEO_FORMAT_WEBP,
    keepFrames: true,
    prompt: 'x'.repeat(10_000),
  };
  const sampling = { sampler: Sampler.SAMPLER_DDIM, steps: 1000, guidanceScale: 50 };
  expect(resolve({ ...largest, keyframes: sampling, interpolation: { guidanceScale: 0, steps: 1 } })).toMatchObject({
    ...largest,
    frameRate: 'high',
    format: 'webp',
    keyframes: { ...sampling, sampler: 'ddim' },
    interpolation: { steps: 1, guidanceScale: 0 },
  });
});

function thrownBy(action: () => unknown): FusionError {
  try {
    action();
  } catch (error) {
    return error as FusionError;
  }
  throw new Error('Nothing was thrown');
}
