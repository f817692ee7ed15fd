import { Status } from 'nice-grpc-common';
import { FusionError } from '../kit/errors.ts';
import { normalNoise } from './noise.ts';
import type { Sampler, SamplerState } from './samplers/sampler.ts';

export interface SampleOptions {
  sampler: Sampler;
  /** Elements of the latents. */
  length: number;
  /** 0 to 2^64 − 1. */
  seed: bigint;
  /** One of `noisePurpose`. */
  purpose: number;
  /** Calls the network: its prediction for `latents`, after guidance, of the same length. */
  predict(latents: Float32Array, timestep: number, signal: AbortSignal): Promise<Float32Array>;
  signal: AbortSignal;
}

/** How things stand after a denoising step. */
export interface SampleStep {
  latents: Float32Array;
  /** The step's estimate of x₀. */
  denoised: Float32Array;
  /** Steps done, from 1. */
  step: number;
  total: number;
}

/**
 * Denoises seeded noise, one call of the network per step, and yields after every step; the latents of the last one are
 * the result.
 *
 * The signal is checked before every step and handed to `predict`, so an abort takes effect within a step; it throws the
 * signal's reason. Throws INTERNAL, naming the step, when a prediction has another length or is not finite.
 */
export async function* sample(options: SampleOptions): AsyncGenerator<SampleStep, void, undefined> {
  const { sampler, length, seed, purpose, signal } = options;
  const latents = normalNoise({ seed, purpose, draw: 0 }, 0, length);
  let state: SamplerState<unknown> = { latents, history: sampler.start };
  for (let step = 0; step < sampler.steps; step++) {
    signal.throwIfAborted();
    const modelOutput = await options.predict(state.latents, sampler.timestep(step), signal);
    checkPrediction(modelOutput, length, step, sampler.steps);
    const next = sampler.step(step, state, modelOutput, () =>
      normalNoise({ seed, purpose, draw: step + 1 }, 0, length),
    );
    yield { latents: next.latents, denoised: next.denoised, step: step + 1, total: sampler.steps };
    state = next;
  }
}

function checkPrediction(modelOutput: Float32Array, length: number, step: number, total: number): void {
  const place = `denoising step ${step + 1} of ${total}`;
  if (modelOutput.length !== length) {
    throw new FusionError(Status.INTERNAL, `${place}: ${modelOutput.length} values predicted for ${length} latents`);
  }
  if (!isFiniteThroughout(modelOutput)) {
    throw new FusionError(Status.INTERNAL, `${place}: the network's prediction is not finite`, {
      reason: 'PREDICTION_NOT_FINITE',
    });
  }
}

function isFiniteThroughout(values: Float32Array): boolean {
  // A sum of finite float32 values stays finite in a double; one NaN or infinity does not let it.
  let sum = 0;
  for (let i = 0; i < values.length; i++) {
    sum += values[i]!;
  }
  return Number.isFinite(sum);
}
