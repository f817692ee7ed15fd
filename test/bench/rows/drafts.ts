import { type Bench, type Cost, costOf } from '../bench.ts';
import { type Figure, type Measured, median } from '../figure.ts';

/** Four drafts of 15 frames and one of them finished at 225, against four whole videos. */
export async function measureDrafts(bench: Bench): Promise<Measured> {
  const fours = [0, 1, 2, 3];
  const runs: { drafts: Cost; finish: Cost; whole: Cost }[] = [];
  await bench.client();
  for (let round = 1; round <= bench.options.rounds; round++) {
    bench.progress(`round ${round} of ${bench.options.rounds}`);
    let id = '';
    const drafts = await costOf(async () => {
      const made = await Promise.all(fours.map(() => bench.make({ frameRate: 'low' })));
      id = made[0]!.video.id;
    });
    const finish = await costOf(() => bench.finish(id, { frameRate: 'high' }));
    const whole = await costOf(() => Promise.all(fours.map(() => bench.make({ frameRate: 'high' }))));
    runs.push({ drafts, finish, whole });
  }
  const what = 'four drafts, one of them finished at 225 frames ÷ four videos of 225 frames';
  const figure = (unit: keyof Cost): Pick<Figure, 'value' | 'parts'> => ({
    value: median(runs.map(({ drafts, finish, whole }) => (drafts[unit] + finish[unit]) / whole[unit])),
    parts: {
      'drafts, s': median(runs.map(({ drafts }) => drafts[unit])),
      'finish, s': median(runs.map(({ finish }) => finish[unit])),
      'whole, s': median(runs.map(({ whole }) => whole[unit])),
    },
  });
  return {
    figures: [
      { what, goal: { most: 0.36 }, ...figure('seconds') },
      { what: `${what}: processor time`, ...figure('processorSeconds') },
    ],
  };
}
