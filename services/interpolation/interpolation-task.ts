import type { InterpolateParameters, InterpolateRequest } from '../../proto/gen/fusionframes/v1/interpolation.ts';
import { invalidField, inWords } from '../kit/errors.ts';
import { type Checkpoint, CheckpointAssembler, maxCheckpointArrays } from '../pipeline/checkpoint-pieces.ts';
import { checkCheckpointSeconds } from '../pipeline/checkpoints.ts';
import { checkLatentSize, maxLatentBytes } from '../pipeline/latents.ts';
import { isInterpolationUNet11 } from '../pipeline/networks/unet-1.1.ts';
import { resolveOptions } from '../pipeline/options.ts';
import { perturbation } from '../pipeline/perturbation.ts';
import type { Preset } from '../pipeline/preset.ts';
import { checkPriority } from '../pipeline/priority.ts';
import { type ResolvedSampling, resolveSampling } from '../pipeline/sampling.ts';
import { elementCount, type Tensor } from '../pipeline/tensor.ts';
import { TensorAssembler } from '../pipeline/tensor-chunks.ts';
import { readText, type TextContext } from '../pipeline/text-context.ts';

/** A checked request. */
export interface InterpolationTask {
  /** [T, 4, h, w], T ≥ 2 */
  frames: Tensor<'float32'>;
  /** Elements of a frame. */
  frameSize: number;
  /** 0 or 1: index into the preset's skip values. */
  pass: number;
  seed: bigint;
  sampling: ResolvedSampling;
  /** Noise level of the frames that the network sees, 0 to 250. */
  perturbation: number;
  /** −100 to 100 */
  priority: number;
  /** Seconds of work between checkpoints; 0: none. */
  checkpointSeconds: number;
  checkpoint: Checkpoint | undefined;
  /** Name of the model that must be used; empty: any. */
  model: string;
  /** If the network reads it. */
  prompt: TextContext | undefined;
}

/** Reads the client's stream to its end and checks it against the preset; throws INVALID_ARGUMENT naming the field. */
export async function receiveTask(
  requests: AsyncIterable<InterpolateRequest>,
  preset: Preset,
): Promise<InterpolationTask> {
  const assembler = new TensorAssembler({
    field: 'latents',
    dataType: 'float32',
    rank: 4,
    maxBytes: maxLatentBytes(preset),
  });
  const checkpoints = new CheckpointAssembler(maxCheckpointArrays * maxLatentBytes(preset));
  let parameters: InterpolateParameters | undefined;
  for await (const { part } of requests) {
    if (part?.$case === 'parameters') {
      if (parameters) {
        throw invalidField('parameters', inWords('a second time'), 'once, in the first message');
      }
      parameters = part.value;
    } else if (part?.$case === 'latents') {
      assembler.add(part.value);
    } else if (part) {
      checkpoints.add(part.value);
    }
  }
  if (!parameters) {
    throw invalidField('parameters', undefined, 'the parameters in the first message');
  }
  const { pass, seed } = parameters;
  const { network } = preset.interpolation;
  const passes = preset.interpolation.skips.length;
  if (pass >= passes) {
    throw invalidField('parameters.pass', pass, `a whole number below ${passes}`);
  }
  const frames = assembler.finish();
  checkLatentSize('latents', frames.shape, preset);
  const [count = 0, ...frameShape] = frames.shape;
  if (count < 2) {
    throw invalidField('latents', inWords(`${count} frame`), 'at least 2 frames');
  }
  return {
    frames,
    frameSize: elementCount(frameShape),
    pass,
    seed,
    sampling: resolveSampling('interpolation', parameters.sampling, preset, ['parameters', 'sampling']),
    perturbation: resolvePerturbation(parameters, preset),
    priority: checkPriority(parameters.priority, 'parameters.priority'),
    checkpointSeconds: checkCheckpointSeconds(parameters.checkpointSeconds, 'parameters.checkpoint_seconds'),
    checkpoint: checkpoints.finish(),
    model: parameters.model,
    prompt: isInterpolationUNet11(network)
      ? readText('parameters.prompt', parameters.prompt, network.context_dim)
      : undefined,
  };
}

/** 0 for a network that cannot be told of noise. */
function resolvePerturbation(parameters: InterpolateParameters, preset: Preset): number {
  return resolveOptions({ perturbation }, parameters, { perturbation: 0 }, preset, ['parameters']).perturbation ?? 0;
}
