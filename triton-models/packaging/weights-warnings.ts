import type { Preset } from '../../services/pipeline/preset.ts';
import { servedModels } from './served-models.ts';
import { type WeightsState, weightsState } from './weights-state.ts';

/** Warnings for every video of a preset: networks without trained weights. */
export async function weightsWarnings(preset: Preset): Promise<string[]> {
  const models = servedModels(preset).map(async (model) => ({ name: model.name, weights: await weightsState(model) }));
  return randomWeightsWarnings(preset, await Promise.all(models));
}

/** The same for models with known weights. */
export function randomWeightsWarnings(
  preset: Preset,
  models: readonly { name: string; weights: WeightsState }[],
): string[] {
  const random = models.filter(({ weights }) => weights === 'random').map(({ name }) => name);
  return random.length === 0
    ? []
    : [
        `preset ${preset.name} has no trained weights for ${random.join(', ')}: RANDOM WEIGHTS are used, so videos ` +
          'are noise, whatever the prompt',
      ];
}
