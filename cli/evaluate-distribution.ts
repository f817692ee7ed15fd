import { writeFile } from 'node:fs/promises';
import { setImmediate } from 'node:timers/promises';
import { invalidField } from '../services/kit/errors.ts';
import { seed as anySeed, choice, wholeNumber } from '../services/kit/values.ts';
import { writeWhole } from '../services/kit/write-whole.ts';
import { minI3dFrames } from '../services/pipeline/networks/i3d.ts';
import {
  type DistributionFigures,
  distributionFigures,
  type VideoFeatures,
} from '../triton-models/metrics/distribution-figures.ts';
import { drawDistribution } from '../triton-models/metrics/draw-distribution.ts';
import { embeddingRows, type FeatureRows } from '../triton-models/metrics/feature-rows.ts';
import { findVideos } from '../triton-models/metrics/find-videos.ts';
import { fileKey, KeptResults } from '../triton-models/metrics/kept-results.ts';
import { type Clip, openClip } from '../triton-models/metrics/open-clip.ts';
import { type Protocol, protocolNames, protocols } from '../triton-models/metrics/protocol.ts';
import { framesNeeded, sampleClip, startOf } from '../triton-models/metrics/sample-clip.ts';
import { modelOf } from '../triton-models/packaging/model-set.ts';
import { loadFeatureNetworks } from '../triton-models/sources/feature-networks.ts';
import { type DistributionRun, titleOf, toCsv, toJson, toTable } from './distribution-report.ts';
import { interruptSignal } from './interrupt.ts';
import { reportKept } from './kept-message.ts';
import { checkOutput } from './outputs.ts';
import { countDisplay } from './progress.ts';
import { type JudgeOptions, type ServedJudges, serveJudges } from './serve-judges.ts';
import { parseFlag } from './video-options.ts';

/** Command-line options of `evaluate distribution`. */
export interface EvaluateDistributionOptions extends JudgeOptions {
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
  seed: string;
  resamples: string;
  skipShort?: boolean;
  output: string;
  csv?: string;
  json?: boolean;
}

type Kind = 'real' | 'generated';

interface SampledClip {
  kind: Kind;
  name: string;
  clip: Clip;
  /** Number of the first frame that the network sees. */
  start: number;
}

/** Two at a time, so that one is decoded while the network runs on the other. */
const clipsAtOnce = 2;
const maxCount = 1_000_000;

/** Compares two sets of videos as distributions. Throws INVALID_ARGUMENT naming the argument, option or file. */
export async function evaluateDistribution(
  real: string,
  generated: string,
  options: EvaluateDistributionOptions,
): Promise<void> {
  const networks = loadFeatureNetworks(options.network, '--network');
  const model = modelOf(networks, 'i3d').name;
  const run = { ...parseRun(options), network: networks.name };
  const { output, csv, json } = options;
  await checkOutput(output, ['.png']);
  if (csv !== undefined) {
    await checkOutput(csv, ['.csv'], '--csv');
  }
  const skipped: string[] = [];
  const clips = [
    ...(await openClips('real', real, run, options, skipped)),
    ...(await openClips('generated', generated, run, options, skipped)),
  ];
  requireSameSize(clips, run);
  const interrupted = interruptSignal();
  const kept = await KeptResults.beside(output);
  let judges: ServedJudges | undefined;
  try {
    judges = await serveJudges(networks, options, interrupted);
    const { weights, content } = judges;
    const key = [networks.name, content, run.protocol];
    const features = await lookAtClips(clips, run.protocol, { model, judges, key, kept, signal: interrupted });
    await judges.close();
    const figures = await figuresOf(features, run, interrupted);
    const countOf = (kind: Kind) => clips.filter((each) => each.kind === kind).length;
    const report = {
      figures: { ...figures, warnings: [...skipped, ...figures.warnings] },
      run,
      videos: { real: countOf('real'), generated: countOf('generated') },
      weights,
    };
    const title = titleOf(report);
    await writeWhole(output, (partial) => drawDistribution(partial, title, features.real, features.generated));
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
  } finally {
    await judges?.close();
  }
}

function parseRun(options: EvaluateDistributionOptions): Omit<DistributionRun, 'network'> {
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
    splits: number('--splits', options.splits, usual.splits),
  };
  if (protocol.splits > protocol.videos) {
    throw invalidField('--splits', protocol.splits, `at most the number of videos, ${protocol.videos}`);
  }
  const isUsual = JSON.stringify(protocol) === JSON.stringify(usual);
  const resamples = parseFlag('--resamples', wholeNumber(0, 100_000), options.resamples);
  if (resamples === 1) {
    throw invalidField('--resamples', resamples, '0 for no interval, or at least 2');
  }
  return {
    protocol,
    protocolName: isUsual ? protocolName : `${protocolName}, changed`,
    seed: parseFlag('--seed', anySeed(), options.seed),
    resamples,
  };
}

/** The first videos by name, as many as the protocol requires. */
async function openClips(
  kind: Kind,
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
    skipped.push(`${kind}: left out ${short.length} with fewer than ${minFrames} frames, such as ${first}`);
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
      `${path}, ${width}x${height}`,
      `videos of ${first.width}x${first.height}, as ${first.path}: protocols first crop all to their centre square and scale them to one size, as --resolution does`,
    );
  }
}

interface Looking {
  model: string;
  judges: ServedJudges;
  /** Identifies the network and protocol in kept results. */
  key: readonly unknown[];
  kept: KeptResults;
  signal: AbortSignal;
}

/** Outputs of the network for one video. */
interface Looked {
  logits: number[];
  features: number[];
}

async function lookAtClips(
  clips: readonly SampledClip[],
  protocol: Protocol,
  looking: Looking,
): Promise<VideoFeatures> {
  const display = countDisplay(process.stderr, 'videos', clips.length);
  const looked: Looked[] = new Array(clips.length);
  let next = 0;
  const work = async () => {
    for (let index = next++; index < clips.length; index = next++) {
      looked[index] = await lookAt(clips[index]!, protocol, looking);
      display.advance();
      // Lets Ctrl-C through.
      await setImmediate();
      looking.signal.throwIfAborted();
    }
  };
  try {
    await Promise.all(Array.from({ length: clipsAtOnce }, work));
  } finally {
    display.finish();
  }
  const rowsOf = (kind: Kind, output: keyof Looked): FeatureRows => {
    const rows = looked.filter((_, index) => clips[index]!.kind === kind).map((each) => each[output]);
    return { width: rows[0]!.length, values: Float64Array.from(rows.flat()) };
  };
  return {
    real: rowsOf('real', protocol.features),
    generated: rowsOf('generated', protocol.features),
    logits: rowsOf('generated', 'logits'),
  };
}

async function lookAt({ clip, start }: SampledClip, protocol: Protocol, looking: Looking): Promise<Looked> {
  const { model, judges, key, kept } = looking;
  const { value } = await kept.get(JSON.stringify([await fileKey(clip.path), start, ...key]), async () => {
    const outputs = await judges.run(model, { video: await sampleClip(clip, start, protocol) });
    const rowOf = (output: keyof Looked) => Array.from(embeddingRows(outputs[output]!, clip.path)[0]!);
    return { logits: rowOf('logits'), features: rowOf('features') };
  });
  return value;
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
