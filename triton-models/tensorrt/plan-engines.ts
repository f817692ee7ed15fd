import { Status } from 'nice-grpc-common';
import { FusionError } from '../../services/kit/errors.ts';
import { calledModels } from '../../services/pipeline/called-models.ts';
import { compiledSizes } from '../../services/pipeline/frame-sizes.ts';
import type { Preset } from '../../services/pipeline/preset.ts';
import { byteLength } from '../../services/pipeline/safetensors/element-types.ts';
import { stageNames } from '../../services/pipeline/stages.ts';
import { ParameterList } from '../checkpoints/parameter-list.ts';
import { activationPeak } from '../describe/activation-peak.ts';
import { inferShapes } from '../describe/infer-shapes.ts';
import type { EnginePrecision } from '../graphs/engine-precision.ts';
import type { NamedNetwork } from '../networks/preset-networks.ts';
import { type EngineProfile, engineProfiles, itemsOfRequest } from './engine-profiles.ts';
import { type TensorrtModel, tensorrtModel } from './tensorrt-model.ts';

/** The parameters of an engine's compilation. */
export interface EnginePlan {
  maxBatchSize: number;
  profiles: readonly EngineProfile[];
  precision: EnginePrecision;
}

/** Maximum number of videos per batch: beyond it a step takes longer and no video finishes sooner. */
const maxVideos = 4;
/** Fraction of the device's memory for weights and activations; CUDA, Triton and the kernels need the rest. */
const usableMemory = 0.9;

/**
 * Plans engines for all models of a preset, with the largest batches that fit on their devices. An engine reserves memory for
 * the largest shapes of each profile. Throws FAILED_PRECONDITION naming a node that TensorRT does not support, or what does
 * not fit if a device is too small for a single video.
 */
export function planEngines(
  preset: Preset,
  models: readonly NamedNetwork[],
  devices: Devices,
): Map<string, EnginePlan> {
  rejectSizes(preset);
  const needs = engineNeeds(preset, models, devices.precisions);
  const videos = Math.min(maxVideos, ...sharing(needs, preset, devices).map((each) => videosOf(each, devices)));
  return new Map(
    needs.map(({ name, model, items, precision }) => {
      const maxBatchSize = videos * items;
      const profiles = engineProfiles(preset, name, model.inputs, maxBatchSize);
      return [name, { maxBatchSize, profiles, precision }];
    }),
  );
}

/** Where engines run. */
export interface Devices {
  /** Of each device, bytes. */
  deviceMemory: number;
  /** Whether each stage has a device of its own. Default: all models share one. */
  isPerStage?: boolean;
  /** By model, where another than its network's default is wanted. */
  precisions?: Precisions;
}

/** The engines that share a device. */
function sharing(needs: readonly EngineNeed[], preset: Preset, { isPerStage = false }: Devices): EngineNeed[][] {
  return isPerStage
    ? stageNames.map((stage) => needs.filter(({ name }) => calledModels(stage, preset).includes(name)))
    : [[...needs]];
}

/** How many videos fit on a device at once. */
function videosOf(needs: readonly EngineNeed[], devices: Devices): number {
  const total = (of: (need: EngineNeed) => number) => needs.reduce((sum, need) => sum + of(need), 0);
  const [weights, video] = [total((need) => need.weights), total((need) => need.activations)];
  const videos = Math.floor((usableMemory * devices.deviceMemory - weights) / video);
  if (videos < 1) {
    throw tooLarge(needs, devices);
  }
  return videos;
}

/** What the engines of a preset need; see {@link planEngines}. */
export function engineNeeds(
  preset: Preset,
  models: readonly NamedNetwork[],
  precisions: Precisions = {},
): EngineNeed[] {
  return models.map((network) => needOf(preset, network, precisions[network.name] ?? network.enginePrecision));
}

/** Precisions of engines, by model. */
export type Precisions = Readonly<Record<string, EnginePrecision>>;

/** What an engine needs on the device. */
export interface EngineNeed {
  name: string;
  model: TensorrtModel;
  precision: EnginePrecision;
  /** Maximum number of items in a request. */
  items: number;
  /** Bytes. */
  weights: number;
  /** Bytes per video, in all profiles. */
  activations: number;
}

function needOf(preset: Preset, network: NamedNetwork, precision: EnginePrecision): EngineNeed {
  const { name } = network;
  const list = new ParameterList();
  const model = tensorrtModel(network, list, { precision });
  const items = itemsOfRequest(preset, name);
  const weights = [...model.weightTypes].reduce(
    (sum, [parameter, type]) => sum + byteLength(type, list.shapes.get(parameter)!),
    0,
  );
  const graph = model.proto.graph!;
  const profiles = engineProfiles(preset, name, model.inputs, items);
  const peaks = profiles.map(({ shapes }) => {
    const largest = Object.fromEntries(Object.entries(shapes).map(([input, { max }]) => [input, max]));
    return activationPeak(graph, inferShapes(graph, largest), 'float32');
  });
  const activations = peaks.reduce((sum, peak) => sum + peak, 0);
  return { name, model, precision, items, weights, activations };
}

function rejectSizes(preset: Preset): void {
  const { minimum, maximum, multipleOf } = preset.frameSize;
  for (const { width, height } of compiledSizes(preset)) {
    const fits = (size: number, min: number, max: number) => size >= min && size <= max && size % multipleOf === 0;
    if (!fits(width, minimum.width, maximum.width) || !fits(height, minimum.height, maximum.height)) {
      throw new FusionError(
        Status.FAILED_PRECONDITION,
        `preset ${preset.name}: \`frameSize.compiled\` must be multiples of ${multipleOf} from ` +
          `${minimum.width}×${minimum.height} to ${maximum.width}×${maximum.height} (got ${width}×${height})`,
        { reason: 'INVALID_PRESET', field: 'frameSize.compiled' },
      );
    }
  }
}

function tooLarge(needs: readonly EngineNeed[], { deviceMemory, isPerStage = false }: Devices): FusionError {
  const gigabytes = (bytes: number) => `${Number((bytes / 1e9).toPrecision(3))} GB`;
  const list = needs.map(
    ({ name, weights, activations }) =>
      `\n  ${name}: weights ${gigabytes(weights)}, activations ${gigabytes(activations)} for one video`,
  );
  return new FusionError(
    Status.FAILED_PRECONDITION,
    `gpu memory: ${gigabytes(deviceMemory)} given, of which ${100 * usableMemory} % can be used; one video needs:${list.join(';')}\n` +
      `allowed: more memory (--gpu-memory)${isPerStage ? '' : ', a GPU for each stage (--gpu-per-stage)'}, or fewer sizes in ` +
      'frameSize.compiled of the preset, for each of which activations are kept',
    { reason: 'DEVICE_TOO_SMALL', field: 'gpuMemory' },
  );
}
