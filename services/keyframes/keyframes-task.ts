import type { GenerateKeyframesRequest } from '../../proto/gen/fusionframes/v1/keyframes.ts';
import { invalidField, inWords } from '../kit/errors.ts';
import { type Checkpoint, CheckpointAssembler, maxCheckpointArrays } from '../pipeline/checkpoint-pieces.ts';
import { checkCheckpointSeconds } from '../pipeline/checkpoints.ts';
import { type FirstFrameSettings, firstFrameOptions } from '../pipeline/first-frame.ts';
import { checkLatentSize, firstFrameScale, latentChannels, latentScale, maxLatentBytes } from '../pipeline/latents.ts';
import { resolveOptions } from '../pipeline/options.ts';
import { conditionedOn, type Preset } from '../pipeline/preset.ts';
import { checkPriority } from '../pipeline/priority.ts';
import { type ResolvedSampling, resolveSampling } from '../pipeline/sampling.ts';
import type { Tensor } from '../pipeline/tensor.ts';
import { fromWireTensor } from '../pipeline/tensor-chunks.ts';
import { readText, type TextContext } from '../pipeline/text-context.ts';

/** A checked request. */
export interface KeyframesTask {
  prompt: TextContext;
  /** If absent, guidance uses the null embedding. */
  negativePrompt: TextContext | undefined;
  /** A text for each thing that is sampled alone, instead of the prompt; empty: the prompt is sampled. */
  things: TextContext[];
  /** [keyframes, 4, height / 8, width / 8] */
  latentShape: readonly number[];
  seed: bigint;
  sampling: ResolvedSampling;
  /** Step, from 1, after which the estimate of x₀ is sent as a preview; 0 means never. */
  previewStep: number;
  /** −100 to 100 */
  priority: number;
  /** Seconds of work between checkpoints; 0: none. */
  checkpointSeconds: number;
  checkpoint: Checkpoint | undefined;
  /** What the keyframes continue; undefined: nothing, they come from the prompt alone. */
  firstFrame: ConditionedFirstFrame | InpaintedFirstFrame | undefined;
}

/** A first frame that the keyframe network reads. */
export interface ConditionedFirstFrame extends FirstFrameSettings {
  kind: 'conditioned';
  /** [height, width, 3]; absent: one is made from the prompt. */
  picture: Tensor<'uint8'> | undefined;
}

/** A first frame that sampling keeps. */
export interface InpaintedFirstFrame {
  kind: 'inpainted';
  /** [height, width, 3] */
  picture: Tensor<'uint8'>;
}

/** Number of elements of a keyframe's latents. */
export function frameLength({ latentShape: [, ...frame] }: Pick<KeyframesTask, 'latentShape'>): number {
  return frame.reduce((product, size) => product * size);
}

/** Checks a request against the preset; throws INVALID_ARGUMENT naming the field. */
export function readTask(request: GenerateKeyframesRequest, preset: Preset): KeyframesTask {
  const contextSize = preset.keyframes.network.context_dim;
  const prompt = readText('prompt', request.prompt, contextSize);
  const negativePrompt = request.negativePrompt && readText('negative_prompt', request.negativePrompt, contextSize);
  if (negativePrompt) {
    checkTokens('negative_prompt', negativePrompt, prompt);
  }
  const firstFrame = readFirstFrame(request, preset);
  const things = readThings(request, preset);
  for (const [index, thing] of things.entries()) {
    checkTokens(`things[${index}]`, thing, prompt);
  }
  if (request.width % latentScale !== 0 || request.height % latentScale !== 0) {
    throw invalidField('size', inWords(`${request.width}x${request.height}`), `multiples of ${latentScale}`);
  }
  const latentShape = [
    preset.keyframes.frames,
    latentChannels,
    request.height / latentScale,
    request.width / latentScale,
  ];
  checkLatentSize('size', latentShape, preset);
  return {
    prompt,
    negativePrompt,
    things,
    latentShape,
    seed: request.seed,
    sampling: resolveSampling('keyframes', request.sampling, preset, ['sampling']),
    previewStep: request.previewStep,
    priority: checkPriority(request.priority),
    checkpointSeconds: checkCheckpointSeconds(request.checkpointSeconds),
    checkpoint: readCheckpoint(request, preset),
    firstFrame,
  };
}

function checkTokens(field: string, { context }: TextContext, prompt: TextContext): void {
  const [given, wanted] = [context.shape[0], prompt.context.shape[0]];
  if (given !== wanted) {
    throw invalidField(`${field}.context`, inWords(`${given} tokens`), `${wanted} tokens, as many as the prompt`);
  }
}

function readThings({ things }: GenerateKeyframesRequest, preset: Preset): TextContext[] {
  const most = preset.things?.most ?? 0;
  if (things.length > 0 && (things.length < 2 || things.length > most)) {
    throw invalidField('things', things.length, most === 0 ? `absent for ${preset.name}` : `2 to ${most}`);
  }
  return things.map((thing, index) => readText(`things[${index}]`, thing, preset.keyframes.network.context_dim));
}

function readFirstFrame(request: GenerateKeyframesRequest, preset: Preset): KeyframesTask['firstFrame'] {
  const { firstFrame: given, height, width } = request;
  if (preset.firstFrame === undefined) {
    if (given) {
      throw invalidField('first_frame', inWords('a first frame'), `absent: ${preset.name} does not continue one`);
    }
    return undefined;
  }
  const defaults = conditionedOn(preset)?.defaults ?? {};
  const settings = resolveOptions(firstFrameOptions, given, defaults, preset, ['first_frame']);
  const picture = given?.picture && fromWireTensor('first_frame.picture', given.picture, 'uint8', 3);
  if (picture && picture.shape.join() !== [height, width, 3].join()) {
    throw invalidField('first_frame.picture', inWords(`shape [${picture.shape}]`), `[${height}, ${width}, 3]`);
  }
  return preset.firstFrame.kind === 'conditioned'
    ? { kind: 'conditioned', ...(settings as FirstFrameSettings), picture }
    : picture && { kind: 'inpainted', picture };
}

/** Size of the largest checkpoint. A first frame of twice the size is as large as four keyframes. */
export function maxCheckpointBytes(preset: Preset): number {
  const frames = preset.keyframes.frames * (preset.things?.most ?? 1);
  return maxCheckpointArrays * maxLatentBytes(preset, Math.max(frames, firstFrameScale ** 2));
}

function readCheckpoint({ checkpoint }: GenerateKeyframesRequest, preset: Preset): Checkpoint | undefined {
  const assembler = new CheckpointAssembler(maxCheckpointBytes(preset));
  for (const piece of checkpoint) {
    assembler.add(piece);
  }
  return assembler.finish();
}
