import { Command } from 'commander';
import { formatTable } from '../services/kit/table.ts';
import { loadPreset } from '../services/pipeline/preset.ts';
import {
  type DescribedCall,
  type DescribedNetwork,
  type DescribedVideo,
  describeNetwork,
  describePreset,
  type PresetDescription,
} from '../triton-models/describe/describe-preset.ts';
import { featureModels, isFeatureNetworks } from '../triton-models/packaging/model-set.ts';
import { servedModels } from '../triton-models/packaging/served-models.ts';
import { loadFeatureNetworks } from '../triton-models/sources/feature-networks.ts';
import { type EngineNeed, engineNeeds } from '../triton-models/tensorrt/plan-engines.ts';
import { formatBytes, formatCount, formatFlops } from './units.ts';

export function describeModelsCommand(): Command {
  return new Command('describe')
    .description(
      "Show the parameters, memory and operations of a preset's networks and videos, or the parameters of networks that judge videos. Needs no weights.",
    )
    .argument('<preset>', "name of a preset or of networks that judge videos, or the path of a preset's .json file")
    .option('--json', 'print one JSON object')
    .action((name: string, options: { json?: true }) => {
      process.stdout.write(isFeatureNetworks(name) ? describeFeatures(name, options) : describeVideos(name, options));
    });
}

function describeVideos(presetName: string, { json }: { json?: true }): string {
  const preset = loadPreset(presetName);
  const engines = engineNeeds(preset, servedModels(preset)).map(describeEngine);
  const description = describePreset(preset);
  return json ? `${JSON.stringify({ ...description, engines })}\n` : formatDescription(description, engines);
}

function describeFeatures(name: string, { json }: { json?: true }): string {
  const set = loadFeatureNetworks(name);
  const networks = featureModels(set)
    .models()
    .map((model) => describeNetwork(model).description);
  return json
    ? `${JSON.stringify({ name, description: set.description, networks })}\n`
    : `${name}: ${set.description}\n\n${networksTable(networks)}`;
}

type DescribedEngine = Pick<EngineNeed, 'name' | 'precision' | 'weights' | 'activations'> & {
  /** Main memory that Triton takes while it loads the engine, in bytes: it reads the whole file. */
  hostMemory: number;
};

function describeEngine({ name, precision, weights, activations }: EngineNeed): DescribedEngine {
  return { name, precision, weights, activations, hostMemory: weights };
}

function formatDescription(description: PresetDescription, engines: readonly DescribedEngine[]): string {
  const { preset, videos } = description;
  const sizes = [...new Set(videos.map(sizeOf))];
  return [
    `${preset}: computed from the networks' graphs; nothing was run or measured.\n`,
    networksTable(description.networks),
    `TensorRT engines\n${enginesTable(engines)}`,
    ...sizes.map((size) => {
      const ofSize = videos.filter((video) => sizeOf(video) === size);
      return `Calls of videos of ${size}\n${callsTable(ofSize)}`;
    }),
    `Videos\n${videosTable(videos)}`,
    notes,
  ].join('\n');
}

const sizeOf = ({ width, height }: DescribedVideo) => `${width}×${height}`;

function networksTable(networks: readonly DescribedNetwork[]): string {
  const total = (of: (network: (typeof networks)[number]) => number) =>
    networks.reduce((sum, network) => sum + of(network), 0);
  const row = (name: string, parameters: number, float32: number, float16: number) => [
    name,
    formatCount(parameters),
    formatBytes(float32),
    formatBytes(float16),
  ];
  return formatTable(
    ['network', 'parameters', 'in float32', 'in float16'],
    [
      ...networks.map(({ name, parameters, bytes }) => row(name, parameters, bytes.float32, bytes.float16)),
      row(
        'all',
        total(({ parameters }) => parameters),
        total(({ bytes }) => bytes.float32),
        total(({ bytes }) => bytes.float16),
      ),
    ],
  );
}

function enginesTable(engines: readonly DescribedEngine[]): string {
  const rows = engines.map(({ name, precision, weights, activations, hostMemory }) => [
    name,
    precision,
    formatBytes(weights),
    formatBytes(activations),
    formatBytes(hostMemory),
  ]);
  return formatTable(['network', 'precision', 'weights', 'activations', 'host memory'], rows);
}

/** Each distinct call, with how often a video of each frame rate makes it. */
function callsTable(videos: readonly DescribedVideo[]): string {
  const keyOf = ({ network, inputs }: DescribedCall) => `${network} ${JSON.stringify(inputs)}`;
  // The longest video makes nearly all of them, in the order of the pipeline.
  const calls = new Map(
    videos.toReversed().flatMap((video) => video.calls.map((call) => [keyOf(call), call] as const)),
  );
  const rows = [...calls].map(([key, { network, inputs, flops, activations }]) => [
    network,
    `[${Object.values(inputs)[0]}]`,
    ...videos.map((video) => String(video.calls.find((call) => keyOf(call) === key)?.times ?? 0)),
    formatFlops(flops),
    formatBytes(activations.float32),
    formatBytes(activations.float16),
  ]);
  const times = videos.map(({ frameRate }) => `calls, ${frameRate}`);
  return formatTable(['network', 'first input', ...times, 'a call', 'activations float32', 'float16'], rows);
}

function videosTable(videos: readonly DescribedVideo[]): string {
  const rows = videos.map((video) => [
    sizeOf(video),
    video.frameRate,
    String(video.frames),
    formatFlops(video.flops),
    formatBytes(video.memory.float32),
    formatBytes(video.memory.float16),
  ]);
  return formatTable(['size', 'frame rate', 'frames', 'arithmetic', 'memory float32', 'float16'], rows);
}

const notes = `Arithmetic: convolutions and matrix products, two operations for each multiplication with its addition, at the preset's default steps and guidance and without a negative prompt. Norms, activations, softmax and samplers do not count.
Activations: the most bytes that tensors between a network's operators take at once, each operator by itself, none fused
  and none in place. What kernels need while they run is not known here; an engine that fuses needs less.
Memory: all parameters and the largest activations of one call, on one device, for one video at a time.
float16: every floating-point tensor in two bytes; what has to stay float32 (norms' statistics, softmax) is not added.
TensorRT engines: activations of one video, in all profiles, which a loaded engine keeps; host memory while Triton loads the
  engine, whose file it reads whole. start.sh loads one engine after the other.
Time depends on the device and is not shown. 1 PFLOP is one second at a thousand sustained TFLOP/s, and no device here
  was asked how much it sustains.
`;
