import { parametersOf } from '../networks/preset-networks.ts';
import { missingSources } from './checkpoint-source.ts';
import type { ServedModel } from './served-models.ts';

/** Where the weights of a model come from: a checkpoint, or a seed; missing where a network is too large for that. */
export type WeightsState = 'trained' | 'random' | 'missing';

// Random weights are for trying out a small preset, not for gigabytes of them.
export const maxRandomParameters = 100_000_000;

/** The weights that a model would be built with now. */
export async function weightsState(model: ServedModel): Promise<WeightsState> {
  if ((await missingSources(model.sources)).length === 0) {
    return 'trained';
  }
  return parametersOf(model).count <= maxRandomParameters ? 'random' : 'missing';
}
