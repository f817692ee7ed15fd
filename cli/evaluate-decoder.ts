import { loadPreset, modelNames } from '../services/pipeline/preset.ts';
import { findVideos } from '../triton-models/metrics/find-videos.ts';
import { openClip } from '../triton-models/metrics/open-clip.ts';
import { checkReconstruction, reconstructed } from '../triton-models/metrics/reconstruct-clip.ts';
import { parametersOf } from '../triton-models/networks/preset-networks.ts';
import { movqModels } from '../triton-models/packaging/movq-models.ts';
import { presetSources } from '../triton-models/sources/preset-sources.ts';
import { interruptSignal } from './interrupt.ts';
import { type ComparisonOptions, type NamedPair, parseComparison, reportPairs } from './report-pairs.ts';
import { serveModels } from './serve-judges.ts';

/** Command-line options of `evaluate decoder`. */
export interface EvaluateDecoderOptions extends ComparisonOptions {
  preset: string;
}

/**
 * Sends videos through a preset's MoVQ, encoder and decoder, and compares the result with them. Throws INVALID_ARGUMENT
 * naming the argument, option or file.
 */
export async function evaluateDecoder(videos: string, options: EvaluateDecoderOptions): Promise<void> {
  const preset = loadPreset(options.preset, '--preset');
  const comparison = await parseComparison(options);
  const { frames: wanted, minSide } = comparison.limits;
  const opened: NamedPair[] = [];
  for (const [name, path] of (await findVideos('videos', videos)).videos) {
    const reference = await openClip(path);
    const frames = wanted ?? reference.frameCount;
    checkReconstruction(reference, frames, minSide);
    opened.push({ name, pair: { reference, candidate: reference, frames } });
  }
  const interrupted = interruptSignal();
  const models = movqModels(preset);
  const { name } = preset;
  const isPublished = presetSources(preset) !== undefined;
  const served = await serveModels({ name, folder: `${name}-movq`, isPublished, models }, options, interrupted);
  try {
    const pairs = opened.map(({ pair, ...video }) => ({
      ...video,
      pair: { ...pair, candidate: reconstructed(pair.reference, pair.frames, preset, served.run) },
    }));
    const { weights, content } = served;
    const parameters = parametersOf(models.find((model) => model.name === modelNames.decoder)!).count;
    const decoder = { preset: name, kind: preset.decoder.kind, parameters, weights };
    await reportPairs(pairs, comparison, interrupted, { name: 'decoder', weights, key: content, facts: { decoder } });
  } finally {
    await served.close();
  }
}
