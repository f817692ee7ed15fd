import { join } from 'node:path';
import { FirstFrame } from '../../../proto/gen/fusionframes/v1/keyframes.ts';
import type { TextEncoding } from '../../../proto/gen/fusionframes/v1/text_encoder.ts';
import { toPieces } from '../../../services/pipeline/checkpoint-pieces.ts';
import { firstFrameOptions } from '../../../services/pipeline/first-frame.ts';
import { toMessage } from '../../../services/pipeline/options.ts';
import { conditionedOn, type Preset } from '../../../services/pipeline/preset.ts';
import { toWireSampling } from '../../../services/pipeline/sampling.ts';
import { interpolationReadsPrompt } from '../../../services/pipeline/stage-sequence.ts';
import { type Tensor, tensor } from '../../../services/pipeline/tensor.ts';
import { fromWireTensor, toWireTensor } from '../../../services/pipeline/tensor-chunks.ts';
import { promptsOfThings } from '../../../services/pipeline/things.ts';
import { marked, type Watermark } from '../../media/watermark.ts';
import { writeFrames } from '../../media/write-frames.ts';
import type { Stages } from '../../stages/connect-stages.ts';
import { decode } from '../../stages/decoder.ts';
import { interpolate } from '../../stages/interpolation.ts';
import { encodeKeyframes, generateKeyframes } from '../../stages/keyframes.ts';
import type { OnProgress } from '../../stages/on-progress.ts';
import { type EncodedTexts, encodeTexts } from '../../stages/text-encoder.ts';
import type { Job, JobPicture } from '../job.ts';
import { keyframesResult, resultNames } from '../result-names.ts';
import type { JobOutcome } from '../store/job-ledger.ts';
import { framesOf } from '../video-work.ts';
import type { EarlyPictures } from './early-pictures.ts';
import type { FrameCheck } from './frame-check.ts';
import type { JobOutput } from './job-output.ts';
import { videoFiles } from './video-files.ts';
import type { StageResult, Workflow } from './workflow.ts';

/** Dependencies of making a video. */
export interface VideoTools {
  preset: Preset;
  stages: Stages;
  workflow: Workflow;
  output: JobOutput;
  early: EarlyPictures;
  check: FrameCheck;
  /** Reads a job's picture: the one that its video begins with, or its given keyframes, one below the other; uint8 [height, width, 3]. */
  readPicture(picture: JobPicture): Promise<Tensor<'uint8'>>;
  /** Absent: frames stay as they are. */
  watermark: Watermark | undefined;
  /** Signs the finished file. Absent: it stays unsigned. */
  sign: ((path: string, mediaType: string) => Promise<void>) | undefined;
  signal: AbortSignal;
}

type Texts = Pick<EncodedTexts, 'prompt' | 'negativePrompt'> & {
  /** Of a prompt whose things are sampled one by one. */
  things: TextEncoding[];
};

/**
 * Makes a video from a prompt, and from the picture that it begins with if the job has one, or from given keyframes: text
 * encoder, keyframes, interpolation passes, decoder. Files are written while the decoder runs. Throws what the failed stage
 * threw.
 */
export async function makeVideo(
  job: Pick<Job, 'settings' | 'picture' | 'priority' | 'previews'>,
  tools: VideoTools,
): Promise<JobOutcome & { state: 'succeeded' }> {
  const { settings, priority } = job;
  const { preset, stages, workflow, output, early, check, watermark, sign, signal } = tools;
  const { width, height, seed, frameRate, givenKeyframes, perturbation } = settings;
  const [, ...passResults] = resultNames(frameRate);
  const previews = job.previews && check.allowsEarlyPictures;
  const readsPrompt = interpolationReadsPrompt(preset);

  const texts = givenKeyframes === undefined || readsPrompt ? await encodePrompt(job, tools) : undefined;
  let latents = await (givenKeyframes === undefined
    ? makeKeyframes(job, texts!, previews, tools)
    : encodeGiven(job, givenKeyframes, tools));
  if (previews && passResults.length > 0) {
    early.show('storyboard', latents.load);
  }

  for (const [pass, key] of passResults.entries()) {
    const shorter = latents;
    const sampling = toWireSampling('interpolation', settings.interpolation);
    latents = await workflow.recorded({
      stage: 'interpolation',
      key,
      total: settings.interpolation.steps,
      request: [
        ...[pass, seed, settings.interpolation, ...(readsPrompt ? [texts!.sha256] : [])],
        ...(perturbation ? [perturbation] : []),
      ],
      from: shorter,
      isReusable: true,
      async run({ model, checkpointSeconds, from, ...listener }) {
        const prompt = readsPrompt ? (await texts!.load()).prompt : undefined;
        const parameters = { pass, seed, sampling, priority, model, checkpointSeconds, prompt, perturbation };
        return interpolate(stages.interpolation, await shorter.load(), parameters, from, listener, signal);
      },
      ...latentsFile,
    });
  }

  const frames = framesOf(settings, preset);
  const format = { width, height, frames, playbackRate: preset.playbackRate[frameRate] };
  const files = await workflow.last('decoder', frames, async (onProgress, model) => {
    const decoded = marked(
      decode(stages.decoder, await latents.load(), { priority, model }, signal),
      format,
      watermark,
    );
    const { video, sinks, mediaTypes, named } = videoFiles(settings, format);
    const write = async (folder: string) => {
      const openers = [...(await sinks(folder)), ...check.openers(format)];
      await writeFrames(countFrames(decoded, frames, onProgress), format, openers);
      await check.pass();
      await sign?.(join(folder, video.name), video.mediaType);
    };
    return named(await output.make(write, mediaTypes));
  });
  return { state: 'succeeded', ...files, frames };
}

type VideoJob = Pick<Job, 'settings' | 'picture' | 'priority'>;

function encodePrompt({ settings, priority }: VideoJob, { preset, stages, workflow, signal }: VideoTools) {
  const things = promptsOfThings(settings.prompt, preset);
  return workflow.recorded<Texts & Partial<EncodedTexts>>({
    stage: 'text-encoder',
    key: 'text-encoder',
    total: 1,
    request: [settings.prompt, settings.negativePrompt, ...things],
    // It is quickly made, and its warnings are not part of it.
    isReusable: false,
    async run({ model }) {
      const encode = (prompt: string, negativePrompt: string) =>
        encodeTexts(stages['text-encoder'], { prompt, negativePrompt, priority, model }, signal);
      const [texts, ...alone] = await Promise.all([
        encode(settings.prompt, settings.negativePrompt),
        ...things.map((thing) => encode(thing, '')),
      ]);
      return { ...texts, things: alone.map(({ prompt }) => prompt) };
    },
    save: textTensors,
    load: textsFrom,
    warnings: (result) => textWarnings(result as EncodedTexts),
  });
}

function makeKeyframes(
  { settings, picture, priority }: VideoJob,
  texts: StageResult<Texts>,
  previews: boolean,
  { preset, stages, workflow, early, readPicture, signal }: VideoTools,
) {
  const { width, height, seed } = settings;
  const { steps } = settings.keyframes;
  const continuation = conditionedOn(preset) && FirstFrame.fromPartial(toMessage(firstFrameOptions, settings));
  return workflow.recorded({
    stage: 'keyframes',
    key: keyframesResult,
    // Without a picture, a first frame is made before the keyframes, in as many steps.
    total: continuation && !picture ? 2 * steps : steps,
    request: [
      ...[width, height, seed, settings.keyframes],
      ...(continuation ? [continuation] : []),
      ...(picture ? [picture.sha256] : []),
    ],
    from: texts,
    isReusable: true,
    async run({ model, checkpointSeconds, from, ...listener }) {
      const { prompt, negativePrompt, things } = await texts.load();
      const sampling = toWireSampling('keyframes', settings.keyframes);
      const previewStep = previews ? Math.ceil(steps / 2) : 0;
      const checkpoint = from ? [...toPieces(from)] : [];
      const firstFrame = picture
        ? { ...(continuation ?? FirstFrame.fromPartial({})), picture: toWireTensor(await readPicture(picture)) }
        : continuation;
      const request = {
        ...{ prompt, negativePrompt, things, width, height, seed, sampling, previewStep, priority },
        ...{ model, checkpointSeconds, checkpoint },
        firstFrame,
      };
      const { frames } = preset.keyframes;
      const onPreview = (estimate: Tensor<'float32'>) => early.show('preview', estimate);
      return generateKeyframes(stages.keyframes, request, frames, { ...listener, onPreview }, signal);
    },
    ...latentsFile,
  });
}

function encodeGiven(
  { picture, priority }: VideoJob,
  count: number,
  { stages, workflow, readPicture, signal }: VideoTools,
) {
  return workflow.recorded({
    stage: 'keyframes',
    key: keyframesResult,
    total: count,
    request: ['given', picture!.sha256],
    // Named by the keyframe network, which does not make it.
    isReusable: false,
    async run({ onProgress }) {
      const { shape, data } = await readPicture(picture!);
      const [rows = 0, width = 0, colours = 0] = shape;
      const keyframes = tensor('uint8', [count, rows / count, width, colours], data);
      return encodeKeyframes(stages.keyframes, keyframes, priority, onProgress, signal);
    },
    ...latentsFile,
  });
}

/** The layout of latents in a result file. */
const latentsFile = {
  save: (latents: Tensor<'float32'>) => ({ latents }),
  load: (tensors: ReadonlyMap<string, Tensor>) => tensors.get('latents') as Tensor<'float32'>,
};

function textTensors({ prompt, negativePrompt, things }: Texts): Record<string, Tensor> {
  const tensors = (name: string, text: TextEncoding) => ({
    [`${name}.context`]: fromWireTensor(`${name}.context`, text.context, 'float32', 2),
    [`${name}.context_mask`]: fromWireTensor(`${name}.context_mask`, text.contextMask, 'bool', 1),
  });
  return {
    ...tensors('prompt', prompt),
    ...(negativePrompt && tensors('negative_prompt', negativePrompt)),
    ...Object.assign({}, ...things.map((thing, index) => tensors(thingName(index), thing))),
  };
}

function textsFrom(tensors: ReadonlyMap<string, Tensor>): Texts {
  const text = (name: string): TextEncoding => ({
    context: toWireTensor(tensors.get(`${name}.context`) as Tensor),
    contextMask: toWireTensor(tensors.get(`${name}.context_mask`) as Tensor),
  });
  const isNegated = tensors.has('negative_prompt.context');
  const things: TextEncoding[] = [];
  while (tensors.has(`${thingName(things.length)}.context`)) {
    things.push(text(thingName(things.length)));
  }
  return { prompt: text('prompt'), negativePrompt: isNegated ? text('negative_prompt') : undefined, things };
}

/** Of a thing's tensors. */
function thingName(index: number): string {
  return `things.${index}`;
}

/** Counts a frame when the reader asks for the next one: only then has it been written. */
async function* countFrames(pictures: AsyncIterable<Uint8Array>, total: number, onProgress: OnProgress) {
  let written = 0;
  for await (const picture of pictures) {
    yield picture;
    await onProgress(++written, total);
  }
}

function textWarnings(texts: EncodedTexts): string[] {
  const { maxTokens } = texts;
  return [
    ['prompt', texts.truncatedTokens, texts.unknownWords, texts.isOverflowed] as const,
    ['negative prompt', texts.negativeTruncatedTokens, texts.negativeUnknownWords, texts.isNegativeOverflowed] as const,
  ].flatMap(([text, cut, unknown, isOverflowed]) => [
    ...(cut > 0 ? [`The last ${cut} tokens of the ${text} have no effect: the text encoder reads ${maxTokens}`] : []),
    ...(unknown.length > 0 ? [`The model does not know these words of the ${text}: ${unknown.join(', ')}`] : []),
    ...(isOverflowed ? [`The ${text} has no effect: the text encoder overflowed on it`] : []),
  ]);
}
