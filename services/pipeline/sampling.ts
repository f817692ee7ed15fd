import { Sampler, type Sampling } from '../../proto/gen/fusionframes/v1/tensor.ts';
import { choices, invalidField } from '../kit/errors.ts';
import { maxGuidanceScale, maxSteps, type Preset, type SamplerName, samplerNames } from './preset.ts';

const wireSamplers: Record<SamplerName, Sampler> = {
  'dpm-solver++': Sampler.SAMPLER_DPM_SOLVER_PLUS_PLUS_2M,
  unipc: Sampler.SAMPLER_UNIPC,
  ddim: Sampler.SAMPLER_DDIM,
  ancestral: Sampler.SAMPLER_ANCESTRAL,
};

/** How a network is sampled, with nothing left open. */
export interface ResolvedSampling {
  sampler: SamplerName;
  /** 1 to {@link maxSteps}. */
  steps: number;
  /** 0 to {@link maxGuidanceScale}; 0: no guidance. */
  guidanceScale: number;
}

/** The contracts' number for a solver. */
export function toWireSampler(name: SamplerName): Sampler {
  return wireSamplers[name];
}

/** The name of the contracts' number for a solver; none for one that is unspecified or unknown. */
export function samplerName(wire: Sampler): SamplerName | undefined {
  return samplerNames.find((name) => wireSamplers[name] === wire);
}

/** A request's sampling with the preset's defaults filled in. Throws INVALID_ARGUMENT naming the field under `field`. */
export function resolveSampling(
  field: string,
  wire: Sampling | undefined,
  defaults: Preset['keyframes']['defaults'],
): ResolvedSampling {
  const sampler = wire?.sampler ? samplerName(wire.sampler) : defaults.sampler;
  if (!sampler) {
    throw invalidField(`${field}.sampler`, wire?.sampler, choices(samplerNames));
  }
  const steps = wire?.steps || defaults.steps;
  if (steps > maxSteps) {
    throw invalidField(`${field}.steps`, steps, `a whole number from 1 to ${maxSteps}`);
  }
  const guidanceScale = wire?.guidanceScale ?? defaults.guidanceScale;
  if (!(guidanceScale >= 0 && guidanceScale <= maxGuidanceScale)) {
    throw invalidField(`${field}.guidance_scale`, guidanceScale, `a number from 0 to ${maxGuidanceScale}`);
  }
  return { sampler, steps, guidanceScale };
}
