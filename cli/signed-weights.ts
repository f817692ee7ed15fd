import type { gatewaySettings } from '../gateway/settings.ts';
import type { Values } from '../services/kit/settings.ts';
import type { Preset } from '../services/pipeline/preset.ts';
import { weightsHash } from '../triton-models/packaging/weights-hash.ts';

/**
 * Hash of a preset's weights for signed videos; `undefined` if videos are not signed or the weights are not on this
 * machine.
 */
export async function signedWeights(
  preset: Preset,
  { provenanceCertificate }: Pick<Values<typeof gatewaySettings>, 'provenanceCertificate'>,
  signal: AbortSignal,
): Promise<string | undefined> {
  return provenanceCertificate === '' ? undefined : weightsHash(preset, signal);
}
