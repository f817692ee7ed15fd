import type { Sampler } from '../samplers/sampler.ts';

/**
 * The latents after the last step of a sampler.
 *
 * @param network its prediction for latents at a timestep
 * @param draw 0: the initial noise; i + 1: what step i may add
 */
export function sampleWith(
  sampler: Sampler,
  network: (latents: Float32Array, timestep: number) => Float32Array,
  draw: (index: number) => Float32Array,
): Float32Array {
  let state = { latents: draw(0), history: sampler.start };
  for (let step = 0; step < sampler.steps; step++) {
    const modelOutput = network(state.latents, sampler.timestep(step));
    state = sampler.step(step, state, modelOutput, () => draw(step + 1));
  }
  return state.latents;
}
