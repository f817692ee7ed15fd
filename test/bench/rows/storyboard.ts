import type { Bench } from '../bench.ts';
import { type Measured, median } from '../figure.ts';

/** When the first pictures of a video can be seen. */
export async function measureStoryboard(bench: Bench): Promise<Measured> {
  await bench.client();
  const shares: { preview: number; storyboard: number }[] = [];
  for (let round = 1; round <= bench.options.rounds; round++) {
    bench.progress(`round ${round} of ${bench.options.rounds}`);
    const started = performance.now();
    const seen = new Map<string, number>();
    const { seconds } = await bench.make({ previews: true }, ({ files }) => {
      for (const { file } of files) {
        seen.set(file, seen.get(file) ?? (performance.now() - started) / 1000);
      }
    });
    shares.push({
      preview: (seen.get('preview') ?? seconds) / seconds,
      storyboard: (seen.get('storyboard') ?? seconds) / seconds,
    });
  }
  return {
    figures: [
      {
        what: 'first pictures (preview of half denoised keyframes) ÷ whole job of 57 frames',
        value: median(shares.map(({ preview }) => preview)),
        goal: { most: 0.5 },
      },
      {
        what: 'finished storyboard ÷ whole job of 57 frames',
        value: median(shares.map(({ storyboard }) => storyboard)),
      },
    ],
  };
}
