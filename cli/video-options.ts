import { type Command, Option } from 'commander';
import { Sampler } from '../proto/gen/fusionframes/v1/tensor.ts';
import { FrameRate, VideoFormat, type VideoSettings } from '../proto/gen/fusionframes/v1/video.ts';
import { invalidField } from '../services/kit/errors.ts';
import { toWireFrameRate } from '../services/pipeline/frame-rates.ts';
import {
  type FrameRateName,
  frameRateNames,
  maxGuidanceScale,
  maxSteps,
  type SamplerName,
  samplerNames,
} from '../services/pipeline/preset.ts';
import { toWireSampler } from '../services/pipeline/sampling.ts';

/** How videos are made, as it stands on the command line. */
export interface SamplingOptions {
  fps?: FrameRateName;
  seed?: string;
  steps?: string;
  guidanceScale?: string;
  interpolationSteps?: string;
  interpolationGuidanceScale?: string;
  sampler?: SamplerName;
}

/** The options of `generate` as they stand on the command line. */
export interface GenerateOptions extends SamplingOptions {
  output: string;
  frames?: string;
  negativePrompt?: string;
  size?: string;
  preset: string;
  address?: string;
  json?: boolean;
}

/** Adds the options of {@link SamplingOptions} but the seed, which every command explains itself. */
export function addSamplingOptions(command: Command): Command {
  return command
    .addOption(
      new Option('--fps <rate>', "low 15, medium 57, high 225 frames (preset's default)").choices(frameRateNames),
    )
    .option('--steps <n>', "denoising steps of the keyframes (preset's default)")
    .option(
      '--guidance-scale <x>',
      `how strictly the keyframes follow the prompt, 0 to ${maxGuidanceScale} (preset's default)`,
    )
    .option('--interpolation-steps <n>', "denoising steps of the frames between (preset's default)")
    .option(
      '--interpolation-guidance-scale <x>',
      `guidance of the frames between, 0 to ${maxGuidanceScale} (preset's default)`,
    )
    .addOption(new Option('--sampler <name>', "solver of both networks (preset's default)").choices(samplerNames));
}

/**
 * The request that the options stand for. Here only what cannot travel is refused (a word where a number belongs, a seed
 * beyond 64 bits); the gateway checks values against its preset. Throws INVALID_ARGUMENT naming the option.
 */
export function toSettings(prompt: string, options: GenerateOptions): VideoSettings {
  const size = options.size === undefined ? { width: 0, height: 0 } : parseSize(options.size);
  return {
    prompt,
    negativePrompt: options.negativePrompt ?? '',
    seed: options.seed === undefined ? undefined : parseSeed(options.seed),
    ...size,
    ...toSampling(options),
    format: options.output.endsWith('.webp') ? VideoFormat.VIDEO_FORMAT_WEBP : VideoFormat.VIDEO_FORMAT_MP4,
    keepFrames: options.frames !== undefined,
  };
}

/** The part of a request that says how it is sampled. Throws as {@link toSettings}. */
export function toSampling(options: SamplingOptions): Pick<VideoSettings, 'frameRate' | 'keyframes' | 'interpolation'> {
  const sampler = options.sampler === undefined ? Sampler.SAMPLER_UNSPECIFIED : toWireSampler(options.sampler);
  return {
    frameRate: options.fps === undefined ? FrameRate.FRAME_RATE_UNSPECIFIED : toWireFrameRate(options.fps),
    keyframes: {
      sampler,
      steps: parseSteps('--steps', options.steps),
      guidanceScale: parseScale('--guidance-scale', options.guidanceScale),
    },
    interpolation: {
      sampler,
      steps: parseSteps('--interpolation-steps', options.interpolationSteps),
      guidanceScale: parseScale('--interpolation-guidance-scale', options.interpolationGuidanceScale),
    },
  };
}

export function parseSize(text: string): { width: number; height: number } {
  const match = /^(\d{1,5})x(\d{1,5})$/i.exec(text);
  const [width = 0, height = 0] = match ? [Number(match[1]), Number(match[2])] : [];
  if (width === 0 || height === 0) {
    throw invalidField('--size', text, 'WIDTHxHEIGHT in pixels, such as 64x64');
  }
  return { width, height };
}

/** Throws INVALID_ARGUMENT unless the text is an unsigned 64-bit number. */
export function parseSeed(text: string): bigint {
  if (!/^\d{1,20}$/.test(text) || BigInt(text) >= 1n << 64n) {
    throw invalidField('--seed', text, 'a whole number from 0 to 18446744073709551615');
  }
  return BigInt(text);
}

/** 0 where the option is absent: the preset's default. */
function parseSteps(option: string, text: string | undefined): number {
  if (text === undefined) {
    return 0;
  }
  const steps = /^\d{1,4}$/.test(text) ? Number(text) : 0;
  if (steps < 1 || steps > maxSteps) {
    throw invalidField(option, text, `a whole number from 1 to ${maxSteps}`);
  }
  return steps;
}

function parseScale(option: string, text: string | undefined): number | undefined {
  if (text === undefined) {
    return undefined;
  }
  const scale = /^\d+(\.\d+)?$/.test(text) ? Number(text) : Number.NaN;
  if (!(scale >= 0 && scale <= maxGuidanceScale)) {
    throw invalidField(option, text, `a number from 0 to ${maxGuidanceScale}`);
  }
  return scale;
}
