import type { SamplerName } from '../../pipeline/preset.ts';
import { ancestral } from './ancestral.ts';
import { ddim } from './ddim.ts';
import { dpmSolverPlusPlus2M } from './dpm-solver-plus-plus-2m.ts';
import type { Sampler, SamplerOptions } from './sampler.ts';
import { uniPc } from './uni-pc.ts';

const samplers: Record<SamplerName, (options: SamplerOptions) => Sampler> = {
  'dpm-solver++': dpmSolverPlusPlus2M,
  ddim,
  ancestral,
  unipc: uniPc,
};

/**
 * The sampler of that name. Throws INVALID_ARGUMENT when `steps` is not a whole number from 1 to 1000, or fewer than the
 * sampler can take on the schedule (ancestral on the linear schedule: 21).
 */
export function createSampler(name: SamplerName, options: SamplerOptions): Sampler {
  return samplers[name](options);
}
