import { frameCount, interpolationPasses, type Preset } from '../../services/kit/preset.ts';
import { type ResolvedSampling, toWireSampler } from '../../services/kit/sampling.ts';
import type { FrameFormat } from '../media/frame-sink.ts';
import { openMp4Sink } from '../media/mp4-sink.ts';
import { openPngFramesSink } from '../media/png-frames-sink.ts';
import { openStoryboardSink } from '../media/storyboard-sink.ts';
import { openWebpSink } from '../media/webp-sink.ts';
import { writeFrames } from '../media/write-frames.ts';
import type { Stages } from '../stages/connect-stages.ts';
import { decode } from '../stages/decoder.ts';
import { interpolate } from '../stages/interpolation.ts';
import { generateKeyframes } from '../stages/keyframes.ts';
import type { OnProgress } from '../stages/on-progress.ts';
import { type EncodedTexts, encodeTexts } from '../stages/text-encoder.ts';
import type { Job, JobSettings } from './job.ts';
import type { JobFiles } from './job-files.ts';
import type { JobRecorder } from './job-recorder.ts';

/** What jobs are worked on with. */
export interface Workplace {
  preset: Preset;
  stages: Stages;
  files: JobFiles;
}

/**
 * The way from a prompt to a video: text encoder, keyframes, interpolation passes, decoder; the files are written while
 * the decoder works. Throws what the stage that failed threw; the files are then the caller's to remove.
 */
export async function makeVideo(
  { id, settings }: Job,
  { preset, stages, files }: Workplace,
  recorder: JobRecorder,
  signal: AbortSignal,
): Promise<{ frames: number; fileBytes: number }> {
  const { width, height, seed, frameRate } = settings;

  const texts = await recorder.run('text-encoder', 1, () => encodeTexts(stages.textEncoder, settings, signal));
  await recorder.warn(...cutWarnings(texts));

  const request = {
    prompt: texts.prompt,
    negativePrompt: texts.negativePrompt,
    width,
    height,
    seed,
    sampling: toWireSampling(settings.keyframes),
  };
  let latents = await recorder.run('keyframes', settings.keyframes.steps, (onProgress) =>
    generateKeyframes(stages.keyframes, request, preset.keyframes.frames, onProgress, signal),
  );

  for (let pass = 0; pass < interpolationPasses(frameRate); pass++) {
    const shorter = latents;
    const parameters = { pass, seed, sampling: toWireSampling(settings.interpolation) };
    latents = await recorder.run('interpolation', settings.interpolation.steps, (onProgress) =>
      interpolate(stages.interpolation, shorter, parameters, onProgress, signal),
    );
  }

  const frames = frameCount(preset, frameRate);
  const format = { width, height, frames, playbackRate: preset.playbackRate[frameRate] };
  await files.create(id);
  await recorder.run('decoder', frames, (onProgress) => {
    const pictures = countFrames(decode(stages.decoder, latents, signal), frames, onProgress);
    return writeFrames(pictures, format, sinks(id, settings, format, files));
  });
  return { frames, fileBytes: await files.size(files.video(id, settings.format)) };
}

function sinks(id: string, { format, frameRate, keepFrames }: JobSettings, frames: FrameFormat, files: JobFiles) {
  const openVideo = format === 'webp' ? openWebpSink : openMp4Sink;
  const keyframeStride = 4 ** interpolationPasses(frameRate);
  return [
    () => openVideo(files.video(id, format), frames),
    () => openStoryboardSink(files.storyboard(id), frames, keyframeStride),
    ...(keepFrames ? [() => openPngFramesSink(files.framesFolder(id), frames)] : []),
  ];
}

/** Counts a frame when the reader comes for the next one: then it is written. */
async function* countFrames(pictures: AsyncIterable<Uint8Array>, total: number, onProgress: OnProgress) {
  let written = 0;
  for await (const picture of pictures) {
    yield picture;
    await onProgress(++written, total);
  }
}

function cutWarnings({ truncatedTokens, negativeTruncatedTokens, maxTokens }: EncodedTexts): string[] {
  return [['prompt', truncatedTokens] as const, ['negative prompt', negativeTruncatedTokens] as const].flatMap(
    ([text, cut]) =>
      cut > 0 ? [`The last ${cut} tokens of the ${text} have no effect: the text encoder reads ${maxTokens}`] : [],
  );
}

function toWireSampling({ sampler, steps, guidanceScale }: ResolvedSampling) {
  return { sampler: toWireSampler(sampler), steps, guidanceScale };
}
