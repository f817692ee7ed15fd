import type { Bench } from '../bench.ts';
import { type Measured, median } from '../figure.ts';

/** Requests that have stages in common with an earlier one of the same key. */
export async function measureReuse(bench: Bench): Promise<Measured> {
  const repeats = {
    'the same request again': {},
    'another frame rate (57 → 225 frames)': { frameRate: 'high' },
    'another file format': { format: 'webp' },
  } as const;
  const ratios = new Map<string, number[]>(Object.keys(repeats).map((name) => [name, []]));
  for (let round = 1; round <= bench.options.rounds; round++) {
    bench.progress(`round ${round} of ${bench.options.rounds}`);
    for (const [name, change] of Object.entries(repeats)) {
      // Each against the same video made from the start, in turn.
      const whole = await bench.make(change);
      const first = await bench.make();
      const again = await bench.make({ seed: BigInt(first.video.settings.seed as string), ...change });
      if (again.video.stages.every(({ reused }) => !reused)) {
        throw new Error(`${name}: no stage was reused`);
      }
      ratios.get(name)!.push(again.seconds / whole.seconds);
    }
  }
  return {
    figures: [...ratios].map(([name, values]) => ({
      what: `${name} ÷ that video from the start`,
      value: median(values),
    })),
  };
}
