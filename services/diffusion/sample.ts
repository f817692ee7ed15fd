import { Status } from 'nice-grpc-common';
import { FusionError } from '../kit/errors.ts';
import { isFiniteThroughout, notFinite } from '../pipeline/finite.ts';
import type { StageName } from '../pipeline/stages.ts';
import { normalNoise } from './noise.ts';
import type { Sampler, SamplerState } from './samplers/sampler.ts';

export interface SampleOptions {
  /** Stage name for errors. */
  stage: StageName;
  sampler: Sampler;
  /** Number of elements of the latents. */
  length: number;
  /** 0 to 2^64 − 1. */
  seed: bigint;
  /** One of `noisePurpose`. */
  purpose: number;
  /** Calls the network; returns its prediction for `latents`, after guidance, of the same length. */
  predict(latents: Float32Array, timestep: number, signal: AbortSignal): Promise<Float32Array>;
  signal: AbortSignal;
}

/** The state after a denoising step. */
export interface SampleStep {
  latents: Float32Array;
  /** The step's estimate of x₀. */
  denoised: Float32Array;
  /** Number of steps done, from 1. */
  step: number;
  total: number;
}

/**
 * Denoises seeded noise with one network call per step and yields after every step; the last step's latents are the
 * result.
 *
 * The signal is checked before every step and handed to `predict`, so an abort takes effect within a step; it throws
 * the signal's reason. Throws INTERNAL, naming stage and step, when a prediction has another length or is not finite.
 */
export async function* sample(options: SampleOptions): AsyncGenerator<SampleStep, void, undefined> {
  const { stage, sampler, length, seed, purpose, signal } = options;
  const latents = normalNoise({ seed, purpose, draw: 0 }, 0, length);
  let state: SamplerState<unknown> = { latents, history: sampler.start };
  for (let step = 0; step < sampler.steps; step++) {
    signal.throwIfAborted();
    const modelOutput = await options.predict(state.latents, sampler.timestep(step), signal);
    checkPrediction(modelOutput, length, stage, `denoising step ${step + 1} of ${sampler.steps}`);
    const next = sampler.step(step, state, modelOutput, () =>
      normalNoise({ seed, purpose, draw: step + 1 }, 0, length),
    );
    yield { latents: next.latents, denoised: next.denoised, step: step + 1, total: sampler.steps };
    state = next;
  }
}

function checkPrediction(modelOutput: Float32Array, length: number, stage: StageName, place: string): void {
  if (modelOutput.length !== length) {
    const problem = `${modelOutput.length} values predicted for ${length} latents`;
    throw new FusionError(Status.INTERNAL, `${stage}, ${place}: ${problem}`);
  }
  if (!isFiniteThroughout(modelOutput)) {
    throw notFinite(stage, place);
  }
}
