import { Status } from 'nice-grpc-common';
import { FusionError, invalidField, inWords } from '../../services/kit/errors.ts';
import type { Preset } from '../../services/pipeline/preset.ts';
import { modelsOfStage, stageNames, stages } from '../../services/pipeline/stages.ts';
import { describePreset, describeVideo } from '../../triton-models/describe/describe-preset.ts';
import type { VideoShape } from '../../triton-models/describe/network-calls.ts';
import { servedModels } from '../../triton-models/packaging/served-models.ts';
import type { MeasuredModel, Measurements } from './measurements.ts';

/** A video's calls of one kind to a stage's backend, one after the other. */
export interface CallLoad {
  times: number;
  /** Batch items of one call. */
  items: number;
  /** How long a backend takes for a batch of this many items, seconds. */
  secondsOf(items: number): number;
}

/** What a stage does for one video, and how its backends behave. */
export interface StageLoad {
  stage: string;
  calls: readonly CallLoad[];
  /** Maximum batch size. */
  maxBatchSize: number;
  startSeconds: number;
  /** The stage's time outside its backend, seconds: spread evenly after its calls. */
  outsideSeconds: number;
  retryRate: number;
  /** Whether its calls are denoising steps, which meet in one request with those of other videos. */
  hasSteps: boolean;
}

/** Assumed rate at which a new replica reads weights, bytes a second. */
export const assumedReadRate = 1e9;

/**
 * Load of a video with service times computed from the graphs: operations over a device's sustained rate; a batch takes as
 * long as its items one by one.
 *
 * @param sustained floating-point operations a second
 */
export function estimateLoad(preset: Preset, video: VideoShape, sustained: number): StageLoad[] {
  const bytes = new Map(describePreset(preset).networks.map((network) => [network.name, network.bytes.float16]));
  return loadOf(preset, video, (name) => ({
    secondsOf: (flops) => flops / sustained,
    maxBatchSize: servedModels(preset).find((model) => model.name === name)!.maxBatchSize,
    startSeconds: bytes.get(name)! / assumedReadRate,
    outsideSeconds: 0,
    retryRate: 0,
  }));
}

/**
 * Load of a video with measured service times. For another size or frame rate they are scaled by the calls' operations. Throws
 * FAILED_PRECONDITION if they are of another preset.
 */
export function measuredLoad(preset: Preset, video: VideoShape, measured: Measurements): StageLoad[] {
  if (measured.preset !== preset.name) {
    throw new FusionError(
      Status.FAILED_PRECONDITION,
      `\`--measured\` must hold measurements of ${preset.name} (got ${measured.preset})`,
      { reason: 'OTHER_PRESET', field: '--measured' },
    );
  }
  const reference = describeVideo(preset, measured.video);
  return loadOf(preset, video, (name) => {
    const model = measured.models[name as keyof Measurements['models']];
    if (model === undefined) {
      throw invalidField('--measured', inWords(`no measurements of ${name}`), 'of all models that such a video calls');
    }
    const calls = reference.calls.filter(({ network }) => network === name);
    if (calls.length === 0) {
      throw invalidField(
        '--measured',
        inWords(`a ${measured.video.frameRate} video, which never calls ${name}`),
        'of a medium or high video',
      );
    }
    const sum = (of: (call: (typeof calls)[number]) => number) => calls.reduce((total, call) => total + of(call), 0);
    const flopsOfItem = sum(({ flops, times }) => flops * times) / sum((call) => itemsOf(call.inputs) * call.times);
    return {
      secondsOf: (flops, items) => secondsOfBatch(model.batches, items) * (flops / items / flopsOfItem),
      maxBatchSize: model.maxBatchSize,
      startSeconds: model.startSeconds,
      outsideSeconds: model.outsideSeconds,
      retryRate: model.retryRate,
    };
  });
}

interface ModelTimes extends Omit<StageLoad, 'stage' | 'calls' | 'hasSteps'> {
  secondsOf(flops: number, items: number): number;
}

function loadOf(preset: Preset, video: VideoShape, timesOf: (model: string) => ModelTimes): StageLoad[] {
  // Some models are called only if a picture is given.
  const calls = describeVideo(preset, video).calls.filter(({ times }) => times > 0);
  return stageNames.flatMap((stage) => {
    const [model = '', ...further] = modelsOfStage(stage);
    const own = calls.filter(({ network }) => [model, ...further].includes(network));
    if (own.length === 0) {
      return [];
    }
    const loads = own.map(({ network, inputs, times: count, flops }) => {
      const items = itemsOf(inputs);
      const { secondsOf } = timesOf(network);
      return { times: count, items, secondsOf: (batch: number) => secondsOf((flops / items) * batch, batch) };
    });
    const { secondsOf: _, ...times } = timesOf(model);
    const hasSteps = stages[stage].frames === 'keyframes' || stages[stage].frames === 'passes';
    return [{ stage, calls: loads, ...times, hasSteps }];
  });
}

const itemsOf = (inputs: Record<string, readonly number[]>) => Object.values(inputs)[0]![0]!;

/** Between measured sizes on the line that joins them; beyond them in proportion to the nearest. */
function secondsOfBatch(measured: MeasuredModel['batches'], items: number): number {
  const sorted = measured.toSorted((a, b) => a.items - b.items);
  const above = sorted.findIndex((batch) => batch.items >= items);
  const [first, last] = [sorted[0]!, sorted.at(-1)!];
  if (above === -1) {
    return last.seconds * (items / last.items);
  }
  if (above === 0) {
    // A batch smaller than any measured one is at most as slow.
    return first.items === items ? first.seconds : first.seconds * (items / first.items);
  }
  const [low, high] = [sorted[above - 1]!, sorted[above]!];
  const part = (items - low.items) / (high.items - low.items);
  return low.seconds + part * (high.seconds - low.seconds);
}

/** Backend time of a single video, seconds. */
export function secondsAlone({ calls }: StageLoad): number {
  return calls.reduce((sum, { times, items, secondsOf }) => sum + times * secondsOf(items), 0);
}
