import { keyframeEncoder } from '../../services/pipeline/keyframe-encoder.ts';
import { movqEncoderName } from '../../services/pipeline/networks/movq.ts';
import { modelNames, type Preset } from '../../services/pipeline/preset.ts';
import { architectures, encoderArguments } from '../networks/architectures.ts';
import { presetNetworks } from '../networks/preset-networks.ts';
import { checkCheckpoints } from './check-checkpoints.ts';
import { checkpointSources } from './checkpoint-source.ts';
import type { ServedModel } from './served-models.ts';
import { weightsState } from './weights-state.ts';

/** Both halves of a preset's MoVQ, from the decoder's checkpoint: encoder and decoder. */
export function movqModels(preset: Preset): ServedModel[] {
  const sources = checkpointSources(preset).decoder!;
  return [movqEncoder(preset), { ...presetNetworks(preset).decoder, name: modelNames.decoder, sources }];
}

/**
 * The model that encodes given keyframes, for presets that do not have one already.
 *
 * @param wanted `always`, or only `where-weights-fit`: where the decoder's checkpoint has the encoder, too
 * @param folder of the checkpoint; default: the preset's
 */
export async function keyframeEncoders(
  preset: Preset,
  wanted: 'always' | 'where-weights-fit' | undefined,
  folder?: string,
): Promise<ServedModel[]> {
  if (wanted === undefined || keyframeEncoder(preset).name !== movqEncoderName) {
    return [];
  }
  const model = movqEncoder(preset, folder);
  return wanted === 'always' || (await weightsFit(model)) ? [model] : [];
}

async function weightsFit(model: ServedModel): Promise<boolean> {
  const weights = await weightsState(model);
  return (
    weights !== 'missing' &&
    checkCheckpoints([{ model, weights }]).then(
      () => true,
      () => false,
    )
  );
}

function movqEncoder(preset: Preset, folder?: string): ServedModel {
  const encoder = architectures.pictureEncoder('decoder.network', encoderArguments(preset.decoder.network));
  // A published decoder's names leave out the encoder's.
  const sources = checkpointSources(preset, folder).decoder!.map((source) => ({ ...source, others: [] }));
  return { ...encoder, name: movqEncoderName, sources };
}
