import { qualityNames, samplingAt } from '../../../services/pipeline/preset.ts';
import type { Bench } from '../bench.ts';
import type { Figure, Measured } from '../figure.ts';

/** Network calls of a video's keyframes, with guidance two for each step. Counted, not timed. */
export async function measureItems({ preset }: Bench): Promise<Measured> {
  return {
    figures: qualityNames.map((quality): Figure => {
      const { steps, guidanceScale } = samplingAt(preset, 'keyframes', quality);
      return {
        what: `network items of a video's keyframes, quality ${quality} (50 guided ancestral steps: 100)`,
        value: steps * (guidanceScale > 0 ? 2 : 1),
        unit: 'items',
        ...(quality === preset.defaultQuality && { goal: { most: 14 } }),
        note: 'what each quality loses: triton-models/weights/nano/README.md#steps',
      };
    }),
  };
}
