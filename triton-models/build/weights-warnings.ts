import type { Preset } from '../../services/kit/preset.ts';
import { weightsState } from './build-model.ts';
import { servedModels } from './served-models.ts';

/** Sentences that whoever gets a video from the preset should read: which networks have no trained weights here. */
export async function weightsWarnings(preset: Preset): Promise<string[]> {
  const random: string[] = [];
  for (const model of servedModels(preset)) {
    if ((await weightsState(model)) === 'random') {
      random.push(model.name);
    }
  }
  return random.length === 0
    ? []
    : [
        `preset ${preset.name} has no trained weights for ${random.join(', ')}: RANDOM WEIGHTS are used, so what comes ` +
          'out is noise, not what the prompt says',
      ];
}
