import { record } from '../kit/telemetry/metrics.ts';
import { inSpan } from '../kit/telemetry/spans.ts';
import type { StageName } from './stages.ts';

/**
 * Passes on a denoising loop's steps, recording a span and a duration for each.
 *
 * @param done steps that the loop does not repeat
 */
export async function* traceSteps<T extends { step: number; total: number }>(
  stage: StageName,
  steps: AsyncGenerator<T, void, undefined>,
  done = 0,
): AsyncGenerator<T, void, undefined> {
  const attributes = { 'fusionframes.stage': stage };
  try {
    for (let step = done + 1, isLast = false; !isLast; step++) {
      const start = performance.now();
      const work = () => steps.next();
      const { value } = await inSpan('fusionframes.step', { ...attributes, 'fusionframes.step': step }, work);
      if (!value) {
        return;
      }
      record('fusionframes.step.duration', (performance.now() - start) / 1000, attributes);
      yield value;
      isLast = value.step === value.total;
    }
  } finally {
    await steps.return();
  }
}
