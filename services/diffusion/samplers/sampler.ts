import type { PredictionType, ScheduleName, StepSpacing } from '../../pipeline/preset.ts';
import type { Threshold } from '../threshold.ts';

/** Parameters of a sampler. */
export interface SamplerOptions {
  /** The network's training schedule. */
  schedule: ScheduleName;
  /** Where ancestral sampling takes its steps. Default: `own`. */
  spacing?: StepSpacing;
  /** Number of denoising steps, which is the number of network calls: 1 to 1000. */
  steps: number;
  prediction: PredictionType;
  threshold: Threshold;
}

/** Everything one denoising step passes to the next: a run can stop after any step and resume from this. */
export interface SamplerState<History> {
  /** Any number of concatenated items, which do not affect each other. */
  latents: Float32Array;
  /** What a multistep sampler remembers. Immutable plain data. */
  history: History;
}

/** The result of a denoising step. */
export interface SamplerStep<History> extends SamplerState<History> {
  /** The step's estimate of x₀ after thresholding. */
  denoised: Float32Array;
}

/**
 * A solver of the reverse process, for one network and number of steps. Pure: it keeps nothing between calls. Multistep
 * solvers keep a history of their own type, which is passed from step to step with the latents.
 */
export interface Sampler<History = unknown> {
  readonly steps: number;
  /** The initial history. */
  readonly start: History;
  /** A history as arrays as long as the latents, to be stored. */
  toArrays(history: History): readonly Float32Array[];
  /**
   * The inverse of `toArrays`; for arrays that are not a history of this sampler, a history that gives different
   * arrays.
   */
  fromArrays(arrays: readonly Float32Array[]): History;
  /** The timestep to pass to the network at step `step`; step 0 is the noisiest. */
  timestep(step: number): number;
  /**
   * The state after step `step`.
   *
   * @param state as returned by this sampler's previous step; at step 0 the initial noise and `start`
   * @param modelOutput the network's prediction for `state.latents`, after guidance
   * @param noise draws as many standard normal values as there are latents; called only by samplers that add noise
   */
  step(
    step: number,
    state: SamplerState<History>,
    modelOutput: Float32Array,
    noise: () => Float32Array,
  ): SamplerStep<History>;
}

/** The storage of a sampler without history. */
export const noHistory: Pick<Sampler<undefined>, 'toArrays' | 'fromArrays'> = {
  toArrays: () => [],
  fromArrays: () => undefined,
};
