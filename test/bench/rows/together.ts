import { type Bench, costOf } from '../bench.ts';
import { type Measured, median } from '../figure.ts';

/** Four videos at once, whose steps are batched, against one after another. */
export async function measureTogether(bench: Bench): Promise<Measured> {
  const fours = [0, 1, 2, 3];
  const ratios: { seconds: number; processor: number }[] = [];
  await bench.client();
  for (let round = 1; round <= bench.options.rounds; round++) {
    bench.progress(`round ${round} of ${bench.options.rounds}`);
    const together = await costOf(() => Promise.all(fours.map(() => bench.make())));
    const inTurn = await costOf(async () => {
      for (const _ of fours) {
        await bench.make();
      }
    });
    ratios.push({
      seconds: together.seconds / inTurn.seconds,
      processor: together.processorSeconds / inTurn.processorSeconds,
    });
  }
  const what = 'four jobs at once ÷ one after another';
  return {
    figures: [
      { what, value: median(ratios.map(({ seconds }) => seconds)), goal: { most: 1 } },
      { what: `${what}: processor time`, value: median(ratios.map(({ processor }) => processor)) },
    ],
  };
}
