import type { Preset } from '../../services/pipeline/preset.ts';
import { servedModels } from './served-models.ts';
import { type WeightsState, weightsState } from './weights-state.ts';

const randomWeights = 'RANDOM WEIGHTS';

/** Whether a video with these warnings was made with random weights. */
export function isOfRandomWeights(warnings: readonly string[]): boolean {
  return warnings.some((warning) => warning.includes(randomWeights));
}

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
        `preset ${preset.name} has no trained weights for ${random.join(', ')}: ${randomWeights} are used, so videos ` +
          'are noise, whatever the prompt',
      ];
}
