import type { PredictionType } from '../../pipeline/preset.ts';
import type { ScheduleName } from '../schedule.ts';
import type { Threshold } from '../threshold.ts';

/** What a sampler is made from. */
export interface SamplerOptions {
  /** The schedule that the network was trained on. */
  schedule: ScheduleName;
  /** Denoising steps, so calls of the network: 1 to 1000. */
  steps: number;
  prediction: PredictionType;
  threshold: Threshold;
}

/** All that one denoising step hands to the next: a run can stop after any step and go on from this. */
export interface SamplerState<History> {
  /** Any number of items, one after the other; no item's values depend on another's. */
  latents: Float32Array;
  /** What the sampler looks back on. Plain data, as every step makes it anew. */
  history: History;
}

/** What one denoising step gives. */
export interface SamplerStep<History> extends SamplerState<History> {
  /** The step's estimate of x₀ after thresholding. */
  denoised: Float32Array;
}

/**
 * A solver of the reverse process, for one network and number of steps. Pure: it keeps nothing between calls. Multistep
 * solvers look back on a history of their own type, which goes from step to step with the latents.
 */
export interface Sampler<History = unknown> {
  readonly steps: number;
  /** The history before the first step. */
  readonly start: History;
  /** What to tell the network at step `step`, 0 first (the noisiest). */
  timestep(step: number): number;
  /**
   * The state after step `step`.
   *
   * @param state as this sampler's step before left it; at step 0 the initial noise and `start`
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
