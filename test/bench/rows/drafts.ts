import type { QualityName } from '../../../services/pipeline/preset.ts';
import { type Bench, type Cost, costOf } from '../bench.ts';
import { type Figure, type Measured, median } from '../figure.ts';

/** Four drafts of 15 frames and one of them finished at 225, against four whole videos. */
export async function measureDrafts(bench: Bench): Promise<Measured> {
  await bench.client();
  const usual = await draftsAt(bench, bench.preset.defaultQuality);
  return { figures: [...usual, ...(await draftsAt(bench, 'fast'))] };
}

async function draftsAt(bench: Bench, quality: QualityName): Promise<Figure[]> {
  const fours = [0, 1, 2, 3];
  const runs: { drafts: Cost; finish: Cost; whole: Cost }[] = [];
  for (let round = 1; round <= bench.options.rounds; round++) {
    bench.progress(`${quality}, round ${round} of ${bench.options.rounds}`);
    let id = '';
    const drafts = await costOf(async () => {
      const made = await Promise.all(fours.map(() => bench.make({ frameRate: 'low', quality })));
      id = made[0]!.video.id;
    });
    const finish = await costOf(() => bench.finish(id, { frameRate: 'high' }));
    const whole = await costOf(() => Promise.all(fours.map(() => bench.make({ frameRate: 'high', quality }))));
    runs.push({ drafts, finish, whole });
  }
  const what = `four drafts, one of them finished at 225 frames ÷ four videos of 225 frames, quality ${quality}`;
  const figure = (unit: keyof Cost): Pick<Figure, 'value' | 'parts'> => ({
    value: median(runs.map(({ drafts, finish, whole }) => (drafts[unit] + finish[unit]) / whole[unit])),
    parts: {
      'drafts, s': median(runs.map(({ drafts }) => drafts[unit])),
      'finish, s': median(runs.map(({ finish }) => finish[unit])),
      'whole, s': median(runs.map(({ whole }) => whole[unit])),
    },
  });
  return [
    { what, goal: { most: 0.36 }, ...figure('seconds') },
    { what: `${what}: processor time`, ...figure('processorSeconds') },
  ];
}
