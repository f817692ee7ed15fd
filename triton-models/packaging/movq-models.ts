import { type MovqConfig, movqEncoderName } from '../../services/pipeline/networks/movq.ts';
import { modelNames, type Preset } from '../../services/pipeline/preset.ts';
import { architectures } from '../networks/architectures.ts';
import { presetNetworks } from '../networks/preset-networks.ts';
import { checkpointSources } from './checkpoint-source.ts';
import type { ServedModel } from './served-models.ts';

/** Both halves of a preset's MoVQ, from the decoder's checkpoint: encoder and decoder. */
export function movqModels(preset: Preset): ServedModel[] {
  const sources = checkpointSources(preset).decoder!;
  const decoder = presetNetworks(preset).decoder;
  const encoder = architectures.pictureEncoder('decoder.network', encoderArguments(preset.decoder.network));
  return [
    // A published decoder's names leave out the encoder's.
    { ...encoder, name: movqEncoderName, sources: sources.map((source) => ({ ...source, others: [] })) },
    { ...decoder, name: modelNames.decoder, sources },
  ];
}

/** The arguments that the encoder depends on: the temporal kinds differ in the decoder alone. */
function encoderArguments({
  double_z,
  z_channels,
  resolution,
  in_channels,
  out_ch,
  ch,
  ch_mult,
  num_res_blocks,
  attn_resolutions,
  groups,
}: MovqConfig): MovqConfig {
  return {
    double_z,
    z_channels,
    resolution,
    in_channels,
    out_ch,
    ch,
    ch_mult,
    num_res_blocks,
    attn_resolutions,
    groups,
  };
}
