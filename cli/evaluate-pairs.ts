import { invalidField } from '../services/kit/errors.ts';
import { openPair } from '../triton-models/metrics/compare-clips.ts';
import { findPairs } from '../triton-models/metrics/find-videos.ts';
import { hasRandomVideos } from './generate-prompts.ts';
import { interruptSignal } from './interrupt.ts';
import { type MakingOptions, madeIfAsked } from './make-videos.ts';
import { type ComparisonOptions, type Maker, type NamedPair, parseComparison, reportPairs } from './report-pairs.ts';

/** Command-line options of `evaluate pairs`. */
export interface EvaluatePairsOptions extends ComparisonOptions, MakingOptions {
  prompts?: string;
}

/** Compares videos and reports how similar they are. Throws INVALID_ARGUMENT naming the argument, option or file. */
export async function evaluatePairs(
  reference: string,
  candidate: string,
  options: EvaluatePairsOptions,
): Promise<void> {
  const comparison = await parseComparison(options);
  if (comparison.net === 'off') {
    requireNoNetwork(options);
  }
  const made = await madeIfAsked('candidate', candidate, options);
  if (!made) {
    return;
  }
  // Read all of them before comparing, so that a mismatch is reported at once.
  const pairs: NamedPair[] = [];
  for (const { name, ...files } of await findPairs(reference, candidate)) {
    pairs.push({ name, pair: await openPair(files.reference, files.candidate, comparison.limits) });
  }
  const isRandom = made.isRandom || (await hasRandomVideos(pairs.map(({ pair }) => pair.candidate.path)));
  await reportPairs(pairs, comparison, interruptSignal(), isRandom ? randomMaker : undefined);
}

/** Throws INVALID_ARGUMENT for a flag that has no effect because no network is used. */
function requireNoNetwork({ inference, randomWeights }: EvaluatePairsOptions): void {
  const given = { '--inference': inference, '--random-weights': randomWeights };
  for (const [flag, value] of Object.entries(given)) {
    if (value !== undefined) {
      throw invalidField(flag, value, 'absent without --lpips, which uses a network');
    }
  }
}

const randomMaker: Maker = {
  name: 'candidate',
  weights: 'random',
  key: '',
  facts: { candidate: { weights: 'random' } },
};
