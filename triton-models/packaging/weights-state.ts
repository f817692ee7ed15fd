import { parametersOf } from '../networks/preset-networks.ts';
import { missingSources } from './checkpoint-source.ts';
import type { ServedModel } from './served-models.ts';

/** Where a model's weights come from: a checkpoint or a random seed; missing if the network is too large for a seed. */
export type WeightsState = 'trained' | 'random' | 'missing';

// Random weights are for trying out small presets, not for gigabytes.
export const maxRandomParameters = 100_000_000;

/** The weights with which a model would be built now. */
export async function weightsState(model: ServedModel): Promise<WeightsState> {
  if ((await missingSources(model.sources)).length === 0) {
    return 'trained';
  }
  return parametersOf(model).count <= maxRandomParameters ? 'random' : 'missing';
}
