import { resolveSettings } from '../../../gateway/api/resolve-settings.ts';
import { toSettingsMessage } from '../../../gateway/client/video-message.ts';
import { type QualityName, qualityNames } from '../../../services/pipeline/preset.ts';
import { promptsOfThings } from '../../../services/pipeline/things.ts';
import type { Bench } from '../bench.ts';
import type { Figure, Measured } from '../figure.ts';

/** Network items of a video's keyframes: one for each step and thing, with guidance two. Counted, not timed. */
export async function measureItems({ preset }: Bench): Promise<Measured> {
  const figureOf = (quality: QualityName, prompt: string): Figure => {
    const things = promptsOfThings(prompt, preset).length || 1;
    const { keyframes } = resolveSettings(toSettingsMessage({ prompt, quality }), preset);
    const of = things === 1 ? 'one thing' : 'two things, sampled one by one';
    return {
      what: `network items of the keyframes of ${of}, quality ${quality} (50 guided ancestral steps: ${100 * things})`,
      value: things * keyframes.steps * (keyframes.guidanceScale > 0 ? 2 : 1),
      unit: 'items',
      ...(quality === preset.defaultQuality && { goal: { most: 14 * things } }),
      note: 'what each quality loses: triton-models/weights/nano/README.md#steps',
    };
  };
  return {
    figures: qualityNames.flatMap((quality) => [
      figureOf(quality, 'a red circle moving up on a navy background'),
      figureOf(quality, 'a red circle moving up and a blue square growing on a navy background'),
    ]),
  };
}
