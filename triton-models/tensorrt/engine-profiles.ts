import { compiledSizes, sizeText } from '../../services/pipeline/frame-sizes.ts';
import { movqEncoderName } from '../../services/pipeline/networks/movq.ts';
import {
  type FrameSize,
  firstFrameModelNames,
  frameRateNames,
  modelNames,
  type Preset,
} from '../../services/pipeline/preset.ts';
import { encoderCall, type NetworkCall, networkCalls } from '../describe/network-calls.ts';
import type { EnginePrecision } from '../graphs/engine-precision.ts';
import type { Endpoint } from '../graphs/graph.ts';
import { supportedOperators } from './check-operators.ts';

/** Shapes for which an engine is compiled: it accepts all from `min` to `max` and is fastest at `opt`. */
export interface EngineProfile {
  /** The frame size, such as `512x512`, with the groups of an interpolation pass; `all` if the size does not matter. */
  name: string;
  /** Shapes by input, batch axis first. */
  shapes: Record<string, { min: number[]; opt: number[]; max: number[] }>;
}

/** All calls of a model for videos of a size, at any frame rate. */
function callsOf(preset: Preset, model: string, size: FrameSize): NetworkCall[] {
  if (model === movqEncoderName) {
    return [encoderCall(preset, size)];
  }
  return frameRateNames
    .flatMap((frameRate) => networkCalls(preset, { ...size, frameRate }))
    .filter((call) => call.model === model);
}

/**
 * Maximum number of items in a request: with guidance a step has two, whatever the preset's default; the decoder's
 * items are frames or windows.
 */
export function itemsOfRequest(preset: Preset, model: string): number {
  const calls = compiledSizes(preset).flatMap((size) => callsOf(preset, model, size));
  return Math.max(unguided.includes(model) ? 1 : 2, ...calls.map(leadingSize));
}

const unguided: readonly string[] = [
  modelNames.decoder,
  firstFrameModelNames.pictureDecoder,
  firstFrameModelNames.pictureEncoder,
  movqEncoderName,
];

/**
 * The profiles of a model: one per size that matters, and in the interpolation one per pass, because the last does most of
 * the work and an engine is fastest at the shapes it was tuned for. Texts may be as short as one token.
 */
export function engineProfiles(
  preset: Preset,
  model: string,
  inputs: readonly Endpoint[],
  maxBatchSize: number,
): EngineProfile[] {
  const items = itemsOfRequest(preset, model);
  const profiles = new Map<string, EngineProfile>();
  for (const size of compiledSizes(preset)) {
    for (const { name, calls } of callsByProfile(preset, model, size)) {
      const shapes = Object.fromEntries(
        inputs.map((input) => [input.name, rangeOf(input, calls, { items, maxBatchSize })]),
      );
      const key = JSON.stringify(shapes);
      profiles.set(key, profiles.get(key) ?? { name, shapes });
    }
  }
  const found = [...profiles.values()];
  return found.length === 1 && compiledSizes(preset).length > 1 ? [{ ...found[0]!, name: 'all' }] : found;
}

/** The calls for videos of a size that share a profile. */
function callsByProfile(preset: Preset, model: string, size: FrameSize): { name: string; calls: NetworkCall[] }[] {
  const name = sizeText(size);
  const calls = callsOf(preset, model, size);
  return model === modelNames.interpolation
    ? calls.map((call) => ({ name: `${name}-${call.feeds.latents!.shape[1]}-groups`, calls: [call] }))
    : [{ name, calls }];
}

function rangeOf(
  { name, shape = [] }: Endpoint,
  calls: readonly NetworkCall[],
  { items, maxBatchSize }: { items: number; maxBatchSize: number },
): EngineProfile['shapes'][string] {
  const seen = calls.map(({ feeds }) => feeds[name]!.shape);
  const min = (axis: number) => (shape[axis] === 'tokens' ? 1 : Math.min(...seen.map((each) => each[axis]!)));
  const max = (axis: number) => Math.max(...seen.map((each) => each[axis]!));
  const rest = seen[0]!.slice(1);
  return {
    min: [1, ...rest.map((_, i) => min(i + 1))],
    opt: [items, ...rest],
    max: [maxBatchSize, ...rest.map((_, i) => max(i + 1))],
  };
}

/** Arguments of `trtexec` for the profiles and the precision, one per line, and as comments what the scripts report. */
export function trtexecArguments(profiles: readonly EngineProfile[], precision: EnginePrecision): string {
  const shapesOf = (profile: EngineProfile, which: 'min' | 'opt' | 'max') =>
    Object.entries(profile.shapes)
      .map(([name, shape]) => `${name}:${shape[which].join('x')}`)
      .join(',');
  const lines = profiles.flatMap((profile, index) => [
    `# profile ${profile.name}`,
    `--profile=${index}`,
    `--minShapes=${shapesOf(profile, 'min')}`,
    `--optShapes=${shapesOf(profile, 'opt')}`,
    `--maxShapes=${shapesOf(profile, 'max')}`,
  ]);
  // The graph itself determines the type of each operator.
  return `# operators ${supportedOperators().version}\n# precision ${precision}\n--stronglyTyped\n${lines.join('\n')}\n`;
}

const leadingSize = ({ feeds }: NetworkCall) => Object.values(feeds)[0]!.shape[0]!;
