import { wholeNumber } from '../kit/values.ts';
import { option } from './options.ts';
import type { Preset } from './preset.ts';

/** Highest noise level with which the published interpolation network was trained. */
const maxPerturbation = 250;

/** Whether a preset's interpolation network is told how much noise the frames have that it interpolates between. */
function takesPerturbation({ interpolation: { network } }: Preset): boolean {
  return network.perturbation_input === true;
}

/** Training steps of noise that are added to the frames that the interpolation network sees, in every pass. */
export const perturbation = option<number | undefined>({
  kind: wholeNumber(0, maxPerturbation),
  name: 'perturbation',
  help: 'noise added to the frames that others are interpolated between, as the network sees them; it hides their errors',
  fallback: '0',
  flag: '--perturbation <n>',
  isOffered: takesPerturbation,
});
