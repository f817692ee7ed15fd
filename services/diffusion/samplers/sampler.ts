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
export interface SamplerState {
  /** Any number of items, one after the other; no item's values depend on another's. */
  latents: Float32Array;
  /** The step's estimate of x₀ after thresholding, which multistep solvers look back on; absent before the first step. */
  denoised?: Float32Array;
}

/** A solver of the reverse process, for one network and number of steps. Pure: it keeps nothing between calls. */
export interface Sampler {
  readonly steps: number;
  /** What to tell the network at step `step`, 0 first (the noisiest). */
  timestep(step: number): number;
  /**
   * The state after step `step`.
   *
   * @param state as the step before left it; at step 0 the initial noise
   * @param modelOutput the network's prediction for `state.latents`, after guidance
   * @param noise draws as many standard normal values as there are latents; called only by samplers that add noise
   */
  step(step: number, state: SamplerState, modelOutput: Float32Array, noise: () => Float32Array): Required<SamplerState>;
}
