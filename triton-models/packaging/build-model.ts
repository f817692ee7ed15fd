import { mkdir, rm, stat, writeFile } from 'node:fs/promises';
import { dirname, join, relative } from 'node:path';
import { ModelProto } from '../../proto/gen/onnx/onnx.ts';
import { sha256OfFile } from '../../services/kit/file-hashes.ts';
import { contentHash, type ManifestFiles } from '../../services/pipeline/model-manifest.ts';
import { tensorBytes } from '../../services/pipeline/tensor.ts';
import type { Checkpoint } from '../checkpoints/checkpoint.ts';
import { CheckpointWeights } from '../checkpoints/checkpoint-weights.ts';
import { ParameterList } from '../checkpoints/parameter-list.ts';
import { writeRandomWeights } from '../checkpoints/random-weights.ts';
import { readSafetensors } from '../checkpoints/safetensors.ts';
import type { Weights } from '../checkpoints/weights.ts';
import { storedAs } from '../graphs/engine-precision.ts';
import { Graph } from '../graphs/graph.ts';
import { mergeLoras } from '../lora/merge-loras.ts';
import { parametersOf } from '../networks/preset-networks.ts';
import { trtexecArguments } from '../tensorrt/engine-profiles.ts';
import type { EnginePlan } from '../tensorrt/plan-engines.ts';
import { tensorrtModel } from '../tensorrt/tensorrt-model.ts';
import { engineConfig, warmupFile } from './engine-config.ts';
import type { Manifest } from './manifest.ts';
import { modelConfig } from './model-config.ts';
import { placeWeights, type WantedTypes, weightsFile } from './place-weights.ts';
import type { PlannedLoras } from './plan-loras.ts';
import { type RecordedCall, recordReferences } from './record-references.ts';
import { scanWeights } from './scan-weights.ts';
import type { ServedModel } from './served-models.ts';

const randomSeed = 1;
const mergedFile = 'merged.safetensors';

export interface BuildOptions {
  /** How to compile the engine; absent for a portable model. */
  engine?: EnginePlan | undefined;
  /** Calls with which an engine warms up: one per profile, of the same name. */
  calls?: readonly RecordedCall[] | undefined;
  /** Whether to run the calls and keep their outputs; see {@link recordReferences}. */
  record?: boolean | undefined;
  /** Whether checkpoint files may be hard-linked even if another program might rewrite them. */
  link?: boolean | undefined;
  /** What is merged into the weights. */
  loras?: PlannedLoras | undefined;
  /** Number of its version. Default: 1. */
  version?: number | undefined;
  signal?: AbortSignal | undefined;
}

/** A built model's part of its manifest, and sentences about how it was built. */
export type BuiltModel = Omit<Manifest, 'sources' | 'weights'> & { notes: readonly string[] };

/**
 * Writes a model into an empty folder: `config.pbtxt`, `1/model.onnx` and, next to it, the weights: those of a matching
 * checkpoint, or seeded random ones; see {@link placeWeights}. For TensorRT, `1/trtexec.args` says how to compile the
 * engine. Another version has its number in place of the 1. Throws FAILED_PRECONDITION naming each tensor with NaN or infinite values.
 */
export async function buildModel(
  model: ServedModel,
  checkpoint: Checkpoint | 'random',
  folder: string,
  { engine, calls = [], record = false, link, loras, version = 1, signal }: BuildOptions,
): Promise<BuiltModel> {
  const versionFolder = join(folder, String(version));
  const { shapes, count } = parametersOf(model);
  await mkdir(versionFolder, { recursive: true });
  const isRandom = checkpoint === 'random';
  const own = isRandom ? await writeRandom(join(folder, weightsFile), shapes) : checkpoint;
  const mergedPath = join(folder, mergedFile);
  const given = loras ? await mergeLoras(own, loras.changes, mergedPath, signal) : own;
  const wanted = engine === undefined ? 'F32' : storedAs[engine.precision];
  const single = await scanWeights(given, shapes.keys(), wanted, signal);
  const types = engine && { wanted: weightTypes(model, engine, single) };
  const written = new Set([...(isRandom ? [own.path] : []), ...(loras ? [mergedPath] : [])]);
  const placing = { ...types, link: link || written, signal };
  const { checkpoint: placed, hashes } = await placeWeights(given, shapes.keys(), versionFolder, placing);
  const recorded = record ? await recordReferences(model, given, calls, folder, signal) : { paths: [] };
  for (const path of written) {
    await rm(path);
  }
  const weights = new CheckpointWeights([{ file: placed }]);
  const config = await (engine === undefined
    ? writePortable(model, weights, versionFolder, isRandom)
    : writeForEngine(model, weights, versionFolder, { engine, single, calls }));
  const stored = [...placed.tensors.values()];
  const bytes = stored.reduce((sum, { length }) => sum + length, 0);
  const paths = new Set([join(versionFolder, 'model.onnx'), ...stored.map(({ file }) => file)]);
  const describe = async (path: string): Promise<[string, ManifestFiles[string]]> => {
    const sha256 = hashes.get(path) ?? (await sha256OfFile(path, undefined, signal));
    return [relative(folder, path), { bytes: (await stat(path)).size, sha256 }];
  };
  const files: ManifestFiles = {};
  for (const path of [...paths].sort()) {
    const [name, facts] = await describe(path);
    files[name] = facts;
  }
  await writeFile(join(folder, 'config.pbtxt'), config(contentHash(files)));
  const references = 'paths' in recorded ? await Promise.all(recorded.paths.map(describe)) : [];
  return {
    parameters: count,
    bytes,
    ...(engine && { precision: engine.precision }),
    ...(loras && { loras: loras.records }),
    files: { ...files, ...Object.fromEntries(references) },
    notes: [...(loras?.notes ?? []), ...(engine ? keptSingle(engine, single) : []), ...notRecorded(recorded)],
  };
}

function notRecorded(recorded: Awaited<ReturnType<typeof recordReferences>>): string[] {
  if ('paths' in recorded) {
    return [];
  }
  const gigabytes = (bytes: number) => `${(bytes / 1e9).toPrecision(3)} GB`;
  const [needed, available] = [recorded.neededBytes, process.availableMemory()].map(gigabytes);
  return [`no reference outputs recorded: that takes ${needed} of memory, and ${available} are available`];
}

function weightTypes(model: ServedModel, { precision }: EnginePlan, single: ReadonlySet<string>): WantedTypes {
  return tensorrtModel(model, new ParameterList(), { precision, single }).weightTypes;
}

function keptSingle({ precision }: EnginePlan, single: ReadonlySet<string>): string[] {
  const names = [...single].join(', ');
  return single.size === 0
    ? []
    : [`float32, because some of their numbers are beyond the range of ${precision}: ${names}`];
}

/** Gives the text of the configuration, for the model's {@link contentHash}. */
type MakeConfig = (content: string) => string;

async function writePortable(
  model: ServedModel,
  weights: Weights,
  folder: string,
  isRandom: boolean,
): Promise<MakeConfig> {
  const graph = new Graph(model.name, weights);
  model.build(graph);
  await writeFile(join(folder, 'model.onnx'), graph.encode());
  return (content) => modelConfig(model.name, model.maxBatchSize, graph.inputs, graph.outputs, content, isRandom);
}

interface EngineParts {
  engine: EnginePlan;
  single: ReadonlySet<string>;
  calls: readonly RecordedCall[];
}

async function writeForEngine(
  model: ServedModel,
  weights: Weights,
  folder: string,
  { engine: { maxBatchSize, profiles, precision }, single, calls }: EngineParts,
): Promise<MakeConfig> {
  const { proto, inputs, outputs } = tensorrtModel(model, weights, { precision, single });
  await writeFile(join(folder, 'model.onnx'), ModelProto.encode(proto).finish());
  await writeWarmups(dirname(folder), calls);
  await writeFile(join(folder, 'trtexec.args'), trtexecArguments(profiles, precision));
  return (content) => engineConfig(model.name, maxBatchSize, inputs, outputs, content, profiles);
}

/** The inputs as Triton reads them: raw, by the names that {@link engineConfig} gives them. */
async function writeWarmups(modelFolder: string, calls: readonly RecordedCall[]): Promise<void> {
  await mkdir(join(modelFolder, 'warmup'), { recursive: true });
  for (const { name, inputs } of calls) {
    for (const [input, value] of Object.entries(inputs)) {
      await writeFile(join(modelFolder, 'warmup', warmupFile(name, input)), tensorBytes(value));
    }
  }
}

async function writeRandom(path: string, shapes: ReadonlyMap<string, readonly number[]>): Promise<Checkpoint> {
  await writeRandomWeights(path, shapes, randomSeed);
  return readSafetensors(path);
}
