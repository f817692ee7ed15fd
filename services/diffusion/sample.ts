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
  /** Where to continue. Default, and for a point that is none of this sampler's: from the noise. */
  from?: SamplePoint | undefined;
  /** Changes the noise that sampling begins with. Default: it is used as it is. */
  begin?(noise: Float32Array): Float32Array;
  /** Calls the network; returns its prediction for `latents`, after guidance, of the same length. */
  predict(latents: Float32Array, timestep: number, signal: AbortSignal): Promise<Float32Array>;
  signal: AbortSignal;
}

/** Where a run stands after a step. */
export interface SamplePoint {
  /** Number of steps done, from 1 to one less than all. */
  step: number;
  /** The latents, then the sampler's history. */
  arrays: readonly Float32Array[];
}

/** The state after a denoising step. */
export interface SampleStep {
  latents: Float32Array;
  /** Gives {@link SamplePoint.arrays}. */
  toArrays(): readonly Float32Array[];
  /** The step's estimate of x₀. */
  denoised: Float32Array;
  /** Number of steps done, from 1. */
  step: number;
  total: number;
}

/**
 * Denoises seeded noise with one network call per step and yields after every step; the last step's latents are the
 * result. A run that continues from a point gives the same latents as one without a break.
 *
 * The signal is checked before every step and handed to `predict`, so an abort takes effect within a step; it throws
 * the signal's reason. Throws INTERNAL, naming stage and step, when a prediction has a different length or is not
 * finite.
 */
export async function* sample(options: SampleOptions): AsyncGenerator<SampleStep, void, undefined> {
  const { stage, sampler, length, seed, purpose, signal } = options;
  const restored = options.from && restore(sampler, options.from, length);
  let state = restored ?? { latents: firstLatents(options), history: sampler.start };
  for (let step = restored ? options.from!.step : 0; step < sampler.steps; step++) {
    signal.throwIfAborted();
    const modelOutput = await options.predict(state.latents, sampler.timestep(step), signal);
    checkPrediction(modelOutput, length, stage, `denoising step ${step + 1} of ${sampler.steps}`);
    const next = sampler.step(step, state, modelOutput, () =>
      normalNoise({ seed, purpose, draw: step + 1 }, 0, length),
    );
    const { latents, denoised, history } = next;
    const toArrays = () => [latents, ...sampler.toArrays(history)];
    yield { latents, denoised, toArrays, step: step + 1, total: sampler.steps };
    state = next;
  }
}

function firstLatents({ seed, purpose, length, begin = (noise) => noise }: SampleOptions): Float32Array {
  return begin(normalNoise({ seed, purpose, draw: 0 }, 0, length));
}

/** Undefined for a point that this sampler cannot have left. */
function restore(sampler: Sampler, { step, arrays }: SamplePoint, length: number): SamplerState<unknown> | undefined {
  const [latents, ...others] = arrays;
  const history = sampler.fromArrays(others);
  const isOfSampler =
    step >= 1 &&
    step < sampler.steps &&
    sampler.toArrays(history).length === others.length &&
    arrays.every((array) => array.length === length);
  return latents && isOfSampler ? { latents, history } : undefined;
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
