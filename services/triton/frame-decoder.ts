import { decoderItems } from '../pipeline/decoder-requests.ts';
import { networkInterfaces } from '../pipeline/networks/preset-networks.ts';
import { modelNames, type Preset } from '../pipeline/preset.ts';
import { expectNetwork } from './expected-model.ts';

/** The model that decodes a preset's latents. */
export function frameDecoder(preset: Preset) {
  return expectNetwork(modelNames.decoder, decoderItems(preset), networkInterfaces.decoder(preset));
}
