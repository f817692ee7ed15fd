import type { GenerateKeyframesRequest } from '../../proto/gen/fusionframes/v1/keyframes.ts';
import type { TextEncoding } from '../../proto/gen/fusionframes/v1/text_encoder.ts';
import { invalidField } from '../kit/errors.ts';
import { type Checkpoint, CheckpointAssembler, maxCheckpointArrays } from '../pipeline/checkpoint-pieces.ts';
import { checkCheckpointSeconds } from '../pipeline/checkpoints.ts';
import { checkLatentSize, latentChannels, latentScale, maxLatentBytes } from '../pipeline/latents.ts';
import type { Preset } from '../pipeline/preset.ts';
import { checkPriority } from '../pipeline/priority.ts';
import { type ResolvedSampling, resolveSampling } from '../pipeline/sampling.ts';
import type { Tensor } from '../pipeline/tensor.ts';
import { fromWireTensor } from '../pipeline/tensor-chunks.ts';

/** An encoded text: context [tokens, context_dim], mask [tokens]. */
export interface TextContext {
  context: Tensor<'float32'>;
  contextMask: Tensor<'bool'>;
}

/** A checked request. */
export interface KeyframesTask {
  prompt: TextContext;
  /** If absent, guidance uses the null embedding. */
  negativePrompt: TextContext | undefined;
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
}

/** Checks a request against the preset; throws INVALID_ARGUMENT naming the field. */
export function readTask(request: GenerateKeyframesRequest, preset: Preset): KeyframesTask {
  const contextSize = preset.keyframes.network.context_dim;
  const prompt = readText('prompt', request.prompt, contextSize);
  const negativePrompt = request.negativePrompt && readText('negative_prompt', request.negativePrompt, contextSize);
  if (negativePrompt && negativePrompt.context.shape[0] !== prompt.context.shape[0]) {
    throw invalidField(
      'negative_prompt.context',
      `${negativePrompt.context.shape[0]} tokens`,
      `${prompt.context.shape[0]} tokens, as many as the prompt`,
    );
  }
  if (request.width % latentScale !== 0 || request.height % latentScale !== 0) {
    throw invalidField('size', `${request.width}x${request.height}`, `multiples of ${latentScale}`);
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
    latentShape,
    seed: request.seed,
    sampling: resolveSampling('keyframes', request.sampling, preset, ['sampling']),
    previewStep: request.previewStep,
    priority: checkPriority(request.priority),
    checkpointSeconds: checkCheckpointSeconds(request.checkpointSeconds),
    checkpoint: readCheckpoint(request, preset),
  };
}

function readCheckpoint({ checkpoint }: GenerateKeyframesRequest, preset: Preset): Checkpoint | undefined {
  const assembler = new CheckpointAssembler(maxCheckpointArrays * maxLatentBytes(preset, preset.keyframes.frames));
  for (const piece of checkpoint) {
    assembler.add(piece);
  }
  return assembler.finish();
}

function readText(field: string, text: TextEncoding | undefined, contextSize: number): TextContext {
  const context = fromWireTensor(`${field}.context`, text?.context, 'float32', 2);
  const contextMask = fromWireTensor(`${field}.context_mask`, text?.contextMask, 'bool', 1);
  const [tokens, size] = context.shape;
  if (size !== contextSize) {
    throw invalidField(`${field}.context`, `shape [${context.shape}]`, `[tokens, ${contextSize}]`);
  }
  if (contextMask.shape[0] !== tokens) {
    throw invalidField(`${field}.context_mask`, `shape [${contextMask.shape}]`, `[${tokens}]`);
  }
  return { context, contextMask };
}
