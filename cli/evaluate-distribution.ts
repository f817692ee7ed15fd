import { writeFile } from 'node:fs/promises';
import { invalidField, inWords } from '../services/kit/errors.ts';
import { plainText } from '../services/kit/plain-text.ts';
import { seed as anySeed, choice, wholeNumber } from '../services/kit/values.ts';
import { writeWhole } from '../services/kit/write-whole.ts';
import { c3dFrames } from '../services/pipeline/networks/c3d.ts';
import { minI3dFrames } from '../services/pipeline/networks/i3d.ts';
import {
  type DistributionFigures,
  distributionFigures,
  type VideoFeatures,
} from '../triton-models/metrics/distribution-figures.ts';
import { drawDistribution } from '../triton-models/metrics/draw-distribution.ts';
import { findVideos } from '../triton-models/metrics/find-videos.ts';
import { worse } from '../triton-models/metrics/judge-weights.ts';
import { KeptResults } from '../triton-models/metrics/kept-results.ts';
import { type Clip, openClip } from '../triton-models/metrics/open-clip.ts';
import { type Protocol, protocolNames, protocols } from '../triton-models/metrics/protocol.ts';
import { framesNeeded, startOf } from '../triton-models/metrics/sample-clip.ts';
import { modelOf } from '../triton-models/packaging/model-set.ts';
import { type FeatureNetworks, loadFeatureNetworks } from '../triton-models/sources/feature-networks.ts';
import { type DistributionRun, titleOf, toCsv, toJson, toTable } from './distribution-report.ts';
import { hasRandomVideos } from './generate-prompts.ts';
import { interruptSignal } from './interrupt.ts';
import { reportKept } from './kept-message.ts';
import { lookAtClips, type SampledClip } from './look-at-clips.ts';
import { type MakingOptions, madeIfAsked } from './make-videos.ts';
import { checkOutput } from './outputs.ts';
import { countDisplay } from './progress.ts';
import type { JudgeOptions } from './serve-judges.ts';
import { parseFlag } from './video-options.ts';

/** Command-line options of `evaluate distribution`. */
export interface EvaluateDistributionOptions extends JudgeOptions, MakingOptions {
  prompts?: string;
  protocol: string;
  videos?: string;
  frames?: string;
  stride?: string;
  start?: string;
  resolution?: string;
  crop?: string;
  features?: string;
  splits?: string;
  network: string;
  classifier?: string;
  seed: string;
  resamples: string;
  skipShort?: boolean;
  output: string;
  csv?: string;
  json?: boolean;
}

const maxCount = 1_000_000;

/** Compares two sets of videos as distributions. Throws INVALID_ARGUMENT naming the argument, option or file. */
export async function evaluateDistribution(
  real: string,
  generated: string,
  options: EvaluateDistributionOptions,
): Promise<void> {
  const networks = loadFeatureNetworks(options.network, '--network');
  modelOf(networks, 'i3d');
  const classifier = loadClassifier(options);
  const run = { ...parseRun(options, classifier), network: networks.name };
  const { output, csv, json } = options;
  await checkOutput(output, ['.png']);
  if (csv !== undefined) {
    await checkOutput(csv, ['.csv'], '--csv');
  }
  const made = await madeIfAsked('generated', generated, options);
  if (!made) {
    return;
  }
  const skipped: string[] = [];
  const clips = [
    ...(await openClips('real', real, run, options, skipped)),
    ...(await openClips('generated', generated, run, options, skipped)),
  ];
  requireSameSize(clips, run);
  const isRandom = made.isRandom || (await hasRandomVideos(clips.map(({ clip }) => clip.path)));
  const interrupted = interruptSignal();
  const kept = await KeptResults.beside(output);
  try {
    const { protocol } = run;
    const looking = { protocol, options, kept, signal: interrupted };
    const ofKind = (kind: SampledClip['kind']) => clips.filter((each) => each.kind === kind);
    const generatedClips = ofKind('generated');
    const seen = await lookAtClips(clips, { ...looking, networks, architecture: 'i3d' });
    const classified =
      classifier && (await lookAtClips(generatedClips, { ...looking, networks: classifier, architecture: 'c3d' }));
    const features = {
      real: seen.rowsOf(ofKind('real'), protocol.features),
      generated: seen.rowsOf(generatedClips, protocol.features),
      logits: (classified ?? seen).rowsOf(generatedClips, 'logits'),
    };
    const figures = await figuresOf(features, run, interrupted);
    const report = {
      figures: { ...figures, warnings: [...skipped, ...figures.warnings] },
      run,
      videos: { real: ofKind('real').length, generated: generatedClips.length },
      weights: seen.weights,
      classifierWeights: (classified ?? seen).weights,
      ...(isRandom && { generatedWeights: 'random' as const }),
    };
    const title = titleOf(report);
    const weights = worse(report.weights, report.generatedWeights);
    const sets = {
      real: { clips: ofKind('real'), features: features.real },
      generated: { clips: generatedClips, features: features.generated },
    };
    await writeWhole(output, (partial) => drawDistribution(partial, title, sets, { weights, protocol }));
    if (csv !== undefined) {
      await writeWhole(csv, (partial) => writeFile(partial, toCsv(report)));
    }
    await kept.remove();
    process.stdout.write(json ? `${JSON.stringify(toJson(report, output))}\n` : `${toTable(report)}${output}\n`);
    for (const warning of report.figures.warnings) {
      process.stderr.write(`warning: ${warning}\n`);
    }
  } catch (error) {
    await reportKept(error, interrupted, kept);
  }
}

/** The classifier of the Inception Score; undefined: the network of the distance. */
function loadClassifier({ classifier }: EvaluateDistributionOptions): FeatureNetworks | undefined {
  if (classifier === undefined) {
    return undefined;
  }
  const networks = loadFeatureNetworks(classifier, '--classifier');
  modelOf(networks, 'c3d', '--classifier');
  return networks;
}

function parseRun(
  options: EvaluateDistributionOptions,
  classifier: FeatureNetworks | undefined,
): Omit<DistributionRun, 'network'> {
  const protocolName = parseFlag('--protocol', choice(protocolNames), options.protocol);
  const usual: Protocol = protocols[protocolName];
  const number = (flag: string, given: string | undefined, usually: number, min = 1, max = maxCount) =>
    given === undefined ? usually : parseFlag(flag, wholeNumber(min, max), given);
  const one = <const T extends readonly [string, ...string[]]>(flag: string, values: T, given: string | undefined) =>
    given === undefined ? undefined : parseFlag(flag, choice(values), given);
  const protocol: Protocol = {
    videos: number('--videos', options.videos, usual.videos, 2),
    frames: number('--frames', options.frames, usual.frames, minI3dFrames),
    stride: number('--stride', options.stride, usual.stride),
    start: one('--start', ['random', 'beginning'], options.start) ?? usual.start,
    resolution:
      options.resolution === undefined
        ? usual.resolution
        : parseFlag('--resolution', wholeNumber(8, 8192), options.resolution),
    crop: one('--crop', ['none', 'centre'], options.crop) ?? usual.crop,
    features: one('--features', ['logits', 'features'], options.features) ?? usual.features,
    splits: usual.splits,
  };
  const maxSplits = Math.floor(protocol.videos / 2);
  protocol.splits = number('--splits', options.splits, Math.min(usual.splits, maxSplits));
  if (protocol.splits > maxSplits) {
    const why = `at most ${maxSplits} for ${protocol.videos} videos: the score of a split with a single video is always 1`;
    throw invalidField('--splits', protocol.splits, why);
  }
  if (classifier !== undefined && protocol.frames !== c3dFrames) {
    throw invalidField('--frames', protocol.frames, `${c3dFrames} with --classifier, whose network sees as many`);
  }
  const isUsual = JSON.stringify(protocol) === JSON.stringify(usual);
  const resamples = parseFlag('--resamples', wholeNumber(0, 100_000), options.resamples);
  if (resamples === 1) {
    throw invalidField('--resamples', resamples, '0 for no interval, or at least 2');
  }
  return {
    protocol,
    ...(classifier && { classifier: classifier.name }),
    protocolName: isUsual ? protocolName : `${protocolName}, changed`,
    ...(isUsual &&
      protocolName === 'stylegan-v' &&
      classifier?.name === 'c3d-ucf-101' && { scoreProtocol: 'isv2048_ucf' }),
    seed: parseFlag('--seed', anySeed(), options.seed),
    resamples,
  };
}

/** The first videos by name, as many as the protocol requires. */
async function openClips(
  kind: SampledClip['kind'],
  path: string,
  { protocol, seed }: Pick<DistributionRun, 'protocol' | 'seed'>,
  { skipShort = false }: EvaluateDistributionOptions,
  skipped: string[],
): Promise<SampledClip[]> {
  const found = await findVideos(kind, path);
  const minFrames = framesNeeded(protocol);
  const clips: SampledClip[] = [];
  const short: Clip[] = [];
  for (const [name, file] of found.videos) {
    if (clips.length < protocol.videos) {
      const clip = await openClip(file);
      if (clip.frameCount < minFrames) {
        short.push(clip);
      } else {
        clips.push({ kind, name, clip, start: startOf(protocol, kind, name, clip, seed) });
      }
    }
  }
  if (short.length > 0) {
    const [{ path: first, frameCount }] = short as [Clip];
    const fault = `${first} has ${frameCount}${short.length > 1 ? `, and ${short.length - 1} more are short` : ''}`;
    if (!skipShort) {
      const wanted = `videos of at least ${minFrames} frames, but ${fault}: protocols leave short videos out, as --skip-short does`;
      throw invalidField(kind, path, wanted);
    }
    skipped.push(`${kind}: left out ${short.length} with fewer than ${minFrames} frames, such as ${plainText(first)}`);
  }
  if (clips.length < protocol.videos) {
    const wanted = `a folder of at least ${protocol.videos} videos, but it has ${clips.length}: --videos compares fewer, with figures that are comparable only among themselves`;
    throw invalidField(kind, path, wanted);
  }
  return clips;
}

/** Videos of different sizes are scaled differently, which would count as a difference between the sets. */
function requireSameSize(clips: readonly SampledClip[], { protocol }: DistributionRun): void {
  const [{ clip: first }] = clips as [SampledClip];
  const other = clips.find(({ clip }) => clip.width !== first.width || clip.height !== first.height);
  if (protocol.resolution === null && other !== undefined) {
    const { path, width, height } = other.clip;
    throw invalidField(
      other.kind,
      inWords(`${path}, ${width}x${height}`),
      `videos of ${first.width}x${first.height}, as ${first.path}: protocols first crop all to their centre square and scale them to one size, as --resolution does`,
    );
  }
}

async function figuresOf(
  features: VideoFeatures,
  run: DistributionRun,
  signal: AbortSignal,
): Promise<DistributionFigures> {
  const { protocol, seed, resamples } = run;
  const display = resamples > 0 ? countDisplay(process.stderr, 'resamples', resamples) : undefined;
  try {
    return await distributionFigures(features, protocol.splits, {
      resamples,
      seed,
      onResample: () => display?.advance(),
      signal,
    });
  } finally {
    display?.finish();
  }
}
