import { Sampler, type Sampling } from '../../proto/gen/fusionframes/v1/tensor.ts';
import { choice, decimalNumber, wholeNumber } from '../kit/values.ts';
import { option, resolveOptions, toMessage, type ValuesOf } from './options.ts';
import { maxGuidanceScale, maxSteps, type Preset, type SamplerName, samplerNames } from './preset.ts';

const wireSamplers: Record<SamplerName, Sampler> = {
  'dpm-solver++': Sampler.SAMPLER_DPM_SOLVER_PLUS_PLUS_2M,
  unipc: Sampler.SAMPLER_UNIPC,
  ddim: Sampler.SAMPLER_DDIM,
  ancestral: Sampler.SAMPLER_ANCESTRAL,
};

/** Sampling options of a diffusion network: the fields of the contract's message `Sampling`. */
export const samplingOptions = {
  keyframes: describeSampling('keyframes', ''),
  interpolation: describeSampling('interpolated frames', 'interpolation_'),
};

/** Complete sampling settings of a network. A guidance scale of 0 means no guidance. */
export type ResolvedSampling = ValuesOf<typeof samplingOptions.keyframes>;

function describeSampling(frames: string, prefix: string) {
  const flag = (name: string) => `--${prefix}${name}`.replaceAll('_', '-');
  return {
    sampler: option({
      kind: choice(samplerNames),
      name: `${prefix}sampler`,
      help: `solver for the ${frames}`,
      // Shared by both networks.
      flag: '--sampler <name>',
      wire: wireSamplers,
    }),
    steps: option({
      kind: wholeNumber(1, maxSteps),
      name: `${prefix}steps`,
      ...(prefix === '' && { synonyms: ['num_inference_steps'] }),
      help: `denoising steps for the ${frames}`,
      flag: `${flag('steps')} <n>`,
    }),
    guidanceScale: option({
      kind: decimalNumber(0, maxGuidanceScale),
      name: `${prefix}guidance_scale`,
      help: `guidance scale for the ${frames}; 0: no guidance`,
      flag: `${flag('guidance_scale')} <x>`,
    }),
  } satisfies Record<keyof Sampling, unknown>;
}

/** The contract's message of a network's sampling. */
export function toWireSampling(network: keyof typeof samplingOptions, sampling: ResolvedSampling): Sampling {
  return toMessage(samplingOptions[network], sampling) as Sampling;
}

/**
 * A stage's sampling settings with the preset's defaults filled in. Throws INVALID_ARGUMENT naming the field.
 *
 * @param path of the message in the request, for errors
 */
export function resolveSampling(
  network: keyof typeof samplingOptions,
  message: Sampling | undefined,
  preset: Preset,
  path: readonly string[],
): ResolvedSampling {
  return resolveOptions(samplingOptions[network], message, preset[network].defaults, preset, path);
}
