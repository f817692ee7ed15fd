import { type GraphProto, ModelProto } from '../../proto/gen/onnx/onnx.ts';
import { frameCount, frameRateNames, type Preset } from '../../services/pipeline/preset.ts';
import { ParameterList } from '../checkpoints/parameter-list.ts';
import { Graph } from '../graphs/graph.ts';
import { type NamedNetwork, presetNetworks } from '../networks/preset-networks.ts';
import { activationPeak, type Precision } from './activation-peak.ts';
import { inferShapes } from './infer-shapes.ts';
import { type NetworkCall, networkCalls, type VideoShape } from './network-calls.ts';
import { productOperations } from './products.ts';

export type BytesByPrecision = Record<Precision, number>;

export interface DescribedNetwork {
  name: string;
  parameters: number;
  /** Size of the parameters in bytes. */
  bytes: BytesByPrecision;
}

export interface DescribedCall {
  network: string;
  /** Shapes of the inputs. */
  inputs: Record<string, readonly number[]>;
  /** Number of calls per video. */
  times: number;
  /** Operations per call, see {@link productOperations}. */
  flops: number;
  /** See {@link activationPeak}. */
  activations: BytesByPrecision;
}

export interface DescribedVideo extends VideoShape {
  frames: number;
  calls: DescribedCall[];
  /** Operations of all calls. */
  flops: number;
  /** Largest activation peak of any call. */
  activations: BytesByPrecision;
  /** Total bytes if everything is on one device: all parameters plus the largest activation peak. */
  memory: BytesByPrecision;
}

export interface PresetDescription {
  preset: string;
  networks: DescribedNetwork[];
  /** At the preset's default and largest size, at every frame rate. */
  videos: DescribedVideo[];
}

/** The requirements of a preset's networks, derived from their graphs without running them and without weights. */
export function describePreset(preset: Preset): PresetDescription {
  const { networks, describeVideo } = describer(preset);
  const videos = sizesOf(preset).flatMap((size) =>
    frameRateNames.map((frameRate) => describeVideo({ ...size, frameRate })),
  );
  return { preset: preset.name, networks, videos };
}

/** The requirements of one kind of video. */
export function describeVideo(preset: Preset, video: VideoShape): DescribedVideo {
  return describer(preset).describeVideo(video);
}

function describer(preset: Preset) {
  const networks = new Map(Object.values(presetNetworks(preset)).map((model) => [model.name, describeNetwork(model)]));
  const described = [...networks.values()].map(({ description }) => description);
  const parameters = sumByPrecision(described.map(({ bytes }) => bytes));
  const known = new Map<string, Omit<DescribedCall, 'times'>>();
  const describeOnce = (call: NetworkCall): DescribedCall => {
    const key = JSON.stringify([call.model, call.feeds]);
    const found = known.get(key) ?? describeCall(call, networks.get(call.model)!.graph);
    known.set(key, found);
    return { ...found, times: call.times };
  };
  return {
    networks: described,
    describeVideo(video: VideoShape): DescribedVideo {
      const calls = networkCalls(preset, video).map(describeOnce);
      const activations = largestByPrecision(calls.map((call) => call.activations));
      return {
        ...video,
        frames: frameCount(preset, video.frameRate),
        calls,
        flops: calls.reduce((sum, { flops, times }) => sum + flops * times, 0),
        activations,
        memory: sumByPrecision([parameters, activations]),
      };
    },
  };
}

export function describeNetwork(model: NamedNetwork): { graph: GraphProto; description: DescribedNetwork } {
  const list = new ParameterList();
  const builder = new Graph(model.name, list);
  model.build(builder);
  const bytes = { float32: 4 * list.count, float16: 2 * list.count };
  return {
    graph: ModelProto.decode(builder.encode()).graph!,
    description: { name: model.name, parameters: list.count, bytes },
  };
}

function describeCall({ model, feeds }: NetworkCall, graph: GraphProto): Omit<DescribedCall, 'times'> {
  const inputs = Object.fromEntries(Object.entries(feeds).map(([name, { shape }]) => [name, shape]));
  const facts = inferShapes(graph, inputs);
  return {
    network: model,
    inputs,
    flops: productOperations(graph, facts),
    activations: {
      float32: activationPeak(graph, facts, 'float32'),
      float16: activationPeak(graph, facts, 'float16'),
    },
  };
}

function sizesOf({ frameSize }: Preset): { width: number; height: number }[] {
  const { default: usual, maximum } = frameSize;
  return usual.width === maximum.width && usual.height === maximum.height ? [usual] : [usual, maximum];
}

function sumByPrecision(all: readonly BytesByPrecision[]): BytesByPrecision {
  const sum = (precision: Precision) => all.reduce((total, each) => total + each[precision], 0);
  return { float32: sum('float32'), float16: sum('float16') };
}

function largestByPrecision(all: readonly BytesByPrecision[]): BytesByPrecision {
  const largest = (precision: Precision) => Math.max(...all.map((each) => each[precision]));
  return { float32: largest('float32'), float16: largest('float16') };
}
