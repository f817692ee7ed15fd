import { expect } from '@jest/globals';
import type { DecoderServiceDefinition } from '../../proto/gen/fusionframes/v1/decoder.ts';
import type {
  InterpolateParameters,
  InterpolationServiceDefinition,
} from '../../proto/gen/fusionframes/v1/interpolation.ts';
import type {
  GenerateKeyframesRequest,
  KeyframesServiceDefinition,
} from '../../proto/gen/fusionframes/v1/keyframes.ts';
import { type CheckpointPiece, DataType, Sampler } from '../../proto/gen/fusionframes/v1/tensor.ts';
import { normalNoise } from '../../services/diffusion/noise.ts';
import type { ConnectedClient } from '../../services/kit/channel.ts';
import type { Preset } from '../../services/pipeline/preset.ts';
import { type Tensor, tensor, tensorBytes } from '../../services/pipeline/tensor.ts';
import { TensorAssembler, toChunks, toWireTensor } from '../../services/pipeline/tensor-chunks.ts';

export function noise(shape: number[], purpose = 99): Tensor<'float32'> {
  const length = shape.reduce((product, dimension) => product * dimension, 1);
  return tensor('float32', shape, normalNoise({ seed: 3n, purpose, draw: 0 }, 0, length));
}

export function equal(a: Tensor, b: Tensor): boolean {
  return Buffer.compare(tensorBytes(a), tensorBytes(b)) === 0;
}

export const samplers = [
  Sampler.SAMPLER_ANCESTRAL,
  Sampler.SAMPLER_DDIM,
  Sampler.SAMPLER_DPM_SOLVER_PLUS_PLUS_2M,
  Sampler.SAMPLER_UNIPC,
];

/** A checkpoint after every step. */
export const checkpointSeconds = 1e-9;

/** The pieces of each of the checkpoints. */
export function checkpointsOf(pieces: readonly CheckpointPiece[]): [CheckpointPiece, ...CheckpointPiece[]][] {
  const starts = pieces.flatMap(({ header }, index) => (header ? [index] : []));
  return starts.map((start, i) => pieces.slice(start, starts[i + 1]) as [CheckpointPiece]);
}

export function piece(header: CheckpointPiece['header'], data: Uint8Array): CheckpointPiece {
  const shape = [1n, 2n];
  return { header, state: { header: { dataType: DataType.DATA_TYPE_FLOAT32, shape }, data } };
}

const latentLimits = { field: 'latents', dataType: 'float32', rank: 4, maxBytes: 1 << 24 } as const;

/** A small request with a prompt of noise. */
export function keyframesRequest(preset: Preset, changes: Partial<GenerateKeyframesRequest> = {}) {
  const { contextTokens } = preset.textEncoder;
  const tokens = contextTokens as number;
  const size = preset.keyframes.network.context_dim;
  const prompt = {
    context: toWireTensor(noise([tokens, size])),
    contextMask: toWireTensor(tensor('bool', [tokens], new Uint8Array(tokens).fill(1))),
  };
  return {
    prompt,
    width: 64,
    height: 64,
    seed: 5n,
    sampling: { steps: 3 },
    ...changes,
  } as GenerateKeyframesRequest;
}

/** Makes keyframes and collects what the stage sends meanwhile. */
export async function generateKeyframes(
  keyframes: ConnectedClient<KeyframesServiceDefinition>,
  request: GenerateKeyframesRequest,
) {
  const assembler = new TensorAssembler(latentLimits);
  const previews = new TensorAssembler(latentLimits);
  const steps: string[] = [];
  const pieces: CheckpointPiece[] = [];
  for await (const { event } of keyframes.generateKeyframes(request)) {
    if (event?.$case === 'progress') {
      steps.push(`${event.value.step}/${event.value.total}`);
    } else if (event?.$case === 'preview') {
      previews.add(event.value);
      steps.push('preview');
    } else if (event?.$case === 'checkpoint') {
      pieces.push(event.value);
    } else if (event) {
      assembler.add(event.value);
    }
  }
  return { steps, latents: assembler.finish(), preview: () => previews.finish(), pieces };
}

/** Interpolates and collects what the stage sends meanwhile. */
export async function interpolateBy(
  interpolation: ConnectedClient<InterpolationServiceDefinition>,
  latents: Tensor,
  parameters: Partial<InterpolateParameters>,
  checkpoint: readonly CheckpointPiece[] = [],
) {
  const assembler = new TensorAssembler(latentLimits);
  const steps: number[] = [];
  const pieces: CheckpointPiece[] = [];
  async function* requests() {
    const value = { pass: 0, seed: 5n, sampling: { steps: 2 }, ...parameters };
    yield { part: { $case: 'parameters' as const, value } };
    for (const chunk of toChunks(latents)) {
      yield { part: { $case: 'latents' as const, value: chunk } };
    }
    for (const value of checkpoint) {
      yield { part: { $case: 'checkpoint' as const, value } };
    }
  }
  for await (const { event } of interpolation.interpolate(requests())) {
    if (event?.$case === 'latents') {
      assembler.add(event.value);
    } else if (event?.$case === 'checkpoint') {
      pieces.push(event.value);
    } else {
      steps.push(event!.value.step);
    }
  }
  return { steps, video: assembler.finish(), pieces };
}

export async function* decodeRequests(latents: Tensor) {
  for (const chunk of toChunks(latents)) {
    yield { latents: chunk };
  }
}

/** Decodes latents, whose frames must come in order. */
export async function decodeFrames(
  decoder: ConnectedClient<DecoderServiceDefinition>,
  latents: Tensor,
): Promise<Tensor<'uint8'>[]> {
  const frames: Tensor<'uint8'>[] = [];
  for await (const { index, total, rgb } of decoder.decode(decodeRequests(latents))) {
    expect(total).toBe(latents.shape[0]);
    expect(index).toBe(frames.length);
    const assembler = new TensorAssembler({ field: 'rgb', dataType: 'uint8', rank: 3, maxBytes: 1 << 24 });
    expect(assembler.add(rgb!)).toBe(true);
    frames.push(assembler.finish());
  }
  return frames;
}
