import type { Bench } from '../bench.ts';
import { type Measured, median } from '../figure.ts';
import { type GenerateRun, generateInChild } from '../generate-child.ts';

/** What a user waits for before anything moves. */
export async function measureStart(bench: Bench): Promise<Measured> {
  await bench.repository();
  const runs: GenerateRun[] = [];
  for (let round = 1; round <= bench.options.rounds; round++) {
    bench.progress(`start ${round} of ${bench.options.rounds}`);
    runs.push(await generateInChild(['--fps', 'low', '--steps', '1']));
  }
  const seconds = runs.map(({ secondsToFirstStep }) => secondsToFirstStep);
  return {
    figures: [
      {
        what: 'start of `generate` to the first denoising step, built graphs',
        value: median(seconds),
        unit: 's',
        goal: { most: 1.2 },
        parts: {
          'shortest, s': Math.min(...seconds),
          'processor time, s': median(runs.map(({ processorSecondsToFirstStep }) => processorSecondsToFirstStep)),
        },
      },
    ],
  };
}
