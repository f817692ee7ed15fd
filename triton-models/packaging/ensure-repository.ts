import { join, resolve } from 'node:path';
import { Status } from 'nice-grpc-common';
import { FusionError } from '../../services/kit/errors.ts';
import { FileHashes } from '../../services/kit/file-hashes.ts';
import { modelsToServe } from '../../services/pipeline/called-models.ts';
import { hashesName } from '../../services/pipeline/model-manifest.ts';
import { modelsFolder } from '../../services/pipeline/models-folder.ts';
import { modelNames, type Preset } from '../../services/pipeline/preset.ts';
import type { Checkpoint } from '../checkpoints/checkpoint.ts';
import type { Devices, EnginePlan } from '../tensorrt/plan-engines.ts';
import { followArguments } from './follow-arguments.ts';
import { readManifest, sourcesHash } from './manifest.ts';
import { findTokenizer, placeTokenizer, tokenizerName } from './place-tokenizer.ts';
import type { LoraRequest, PlannedLoras } from './plan-loras.ts';
import type { ReplacingOptions, RepositoryPlan } from './replace-model.ts';
import { type ServedModel, servedModels } from './served-models.ts';
import { type WeightsState, weightsState } from './weights-state.ts';
import { randomWeightsWarnings } from './weights-warnings.ts';

export interface RepositoryOptions {
  /** Default: `repository/<preset>` in the models folder, with the suffix `-tensorrt` for that target. */
  folder?: string;
  /** Default: portable models, served by ONNX Runtime on the CPU. */
  target?: Target;
  /** Checkpoint folder. Default: where the preset's weights are. Without weights nothing is built. */
  checkpoint?: string;
  /**
   * Whether checkpoint files are hard-linked instead of copied. This saves space, but rewriting them changes or breaks
   * the served model. Files written by `pull` are always linked.
   */
  link?: boolean;
  /**
   * Whether the encoder of given keyframes is built as well; `where-weights-fit`: if the decoder's checkpoint has it.
   * Default: it is not.
   */
  encoder?: 'always' | 'where-weights-fit';
  /** Whether tensors that a network does not have are ignored. Default: they are an error. */
  ignoreExtra?: boolean;
  /**
   * Whether outputs are recorded with which a server's can be compared: one call per profile, in float32. Default: for
   * TensorRT.
   */
  record?: boolean;
  /** What is merged into the weights. */
  loras?: readonly LoraRequest[];
  /** Whether only the models that they change are built, with the others that the same stages call. */
  onlyChanged?: boolean;
  /**
   * Number, from 2, of a version that the models are added as, beside those in the folder; with LoRAs only those that they
   * change, and the others of the same stages. Default: the folder's models are replaced.
   */
  version?: number;
  /** Checked between models and while weights are converted. */
  signal?: AbortSignal;
  /** Called after each model. */
  onModel?: (model: RepositoryModel) => void;
}

/** TensorRT: graphs to compile engines from, for these GPUs. */
export type Target = 'onnxruntime' | { tensorrt: Devices };

export interface RepositoryModel {
  name: string;
  weights: WeightsState;
  parameters: number;
  /** Size of the parameters, in bytes. */
  bytes: number;
  /** Whether it was built now; false if it was already up to date. */
  isNew: boolean;
  /** Whether LoRAs are merged into its weights. */
  isChanged: boolean;
  seconds: number;
  /** Sentences about what was recognised in the checkpoint or left out of it. */
  notes: readonly string[];
}

export interface Repository {
  /** Absolute. */
  folder: string;
  models: RepositoryModel[];
  /** Warnings to attach to every video made with it. */
  warnings: string[];
}

/**
 * Brings a preset's model repository up to date. Models whose preset, weights and builder are unchanged are left alone;
 * the others are replaced atomically. All checkpoints are checked before anything is written. Throws NOT_FOUND if one
 * is missing, FAILED_PRECONDITION if some, or a LoRA, do not fit (naming the tensors at fault) or the folder is not writable,
 * and RESOURCE_EXHAUSTED if the disk is full.
 */
export async function ensureRepository(preset: Preset, options: RepositoryOptions = {}): Promise<Repository> {
  const { target = 'onnxruntime', checkpoint } = options;
  const from = checkpoint && resolve(checkpoint);
  const usual = await Promise.all(servedModels(preset, from).map(followArguments));
  const encoders = options.encoder
    ? await (await import('./movq-models.ts')).keyframeEncoders(preset, options.encoder, from)
    : [];
  const models = [...usual, ...encoders];
  const engine = target === 'onnxruntime' ? undefined : target.tensorrt;
  const engines = engine && (await import('../tensorrt/plan-engines.ts')).planEngines(preset, models, engine);
  const built = await ensureModels(engine ? `${preset.name}-tensorrt` : preset.name, models, {
    ...options,
    engines,
    record: options.record ?? engine !== undefined,
    callsOf: async (model) => (await import('./calls-to-record.ts')).callsToRecord(preset, model),
    servedWith: (changed) => modelsToServe(changed, preset),
    tokenizers: new Map([[modelNames.textEncoder, await findTokenizer(preset, checkpoint)]]),
    beforeWriting: () => (checkpoint === undefined ? Promise.resolve() : placeTokenizer(preset, checkpoint)),
  });
  const making = built.models.filter(({ name }) => usual.some((model) => model.name === name));
  return { ...built, warnings: randomWeightsWarnings(preset, making) };
}

interface ModelsOptions extends Omit<RepositoryOptions, 'target'> {
  callsOf?: ReplacingOptions['callsOf'];
  /** How engines are compiled, by model; default: portable models. */
  engines?: ReadonlyMap<string, EnginePlan> | undefined;
  /** The changed models and those that the same stages call. Default: no others. */
  servedWith?: (changed: readonly string[]) => ReadonlySet<string>;
  /** Tokenizers to lie beside models, by model. */
  tokenizers?: ReadonlyMap<string, string | undefined>;
  /** Whether models without a checkpoint get random weights; default true. With a named checkpoint they never do. */
  allowsRandom?: boolean;
  /** Called when all checkpoints have been checked. */
  beforeWriting?: () => Promise<void>;
}

/**
 * The same for any models.
 *
 * @param usualName of the repository's folder, unless the options name one
 */
export async function ensureModels(
  usualName: string,
  served: readonly ServedModel[],
  options: ModelsOptions = {},
): Promise<Omit<Repository, 'warnings'>> {
  const folder = resolve(options.folder ?? join(modelsFolder(), 'repository', usualName));
  const hashes = new FileHashes(join(folder, hashesName));
  const planned = await planModels(served, folder, hashes, options);
  const missing = planned.filter(({ existing }) => existing === undefined);
  const { checkpoints, replace } = await prepareReplacing(missing, options.ignoreExtra);
  await options.beforeWriting?.();
  const models: RepositoryModel[] = [];
  for (const plan of planned) {
    options.signal?.throwIfAborted();
    const started = performance.now();
    const { name } = plan.model;
    const { manifest, notes } = plan.existing
      ? { manifest: plan.existing, notes: [] }
      : await replace!(plan, checkpoints.get(name)!, folder, hashes, options);
    const { weights, parameters, bytes } = manifest;
    const seconds = (performance.now() - started) / 1000;
    models.push({
      name,
      weights,
      parameters,
      bytes,
      isNew: plan.existing === undefined,
      isChanged: plan.loras !== undefined,
      seconds,
      notes: [...(plan.existing ? [] : (plan.model.notes ?? [])), ...notesOf(checkpoints.get(name)), ...notes],
    });
    options.onModel?.(models.at(-1)!);
  }
  return { folder, models };
}

/** Checks the checkpoints of models that must be built. What builds is imported only here: mostly every model is up to date. */
async function prepareReplacing(missing: readonly RepositoryPlan[], ignoreExtra: boolean | undefined) {
  if (missing.length === 0) {
    return { checkpoints: new Map<string, Checkpoint | 'random'>() };
  }
  const [{ checkCheckpoints }, { replaceModel }] = await Promise.all([
    import('./check-checkpoints.ts'),
    import('./replace-model.ts'),
  ]);
  return { checkpoints: await checkCheckpoints(missing, ignoreExtra), replace: replaceModel };
}

function notesOf(checkpoint: Checkpoint | 'random' | undefined): readonly string[] {
  return (typeof checkpoint === 'object' && checkpoint.notes) || [];
}

async function planModels(
  models: readonly ServedModel[],
  folder: string,
  hashes: FileHashes,
  {
    engines,
    tokenizers,
    checkpoint,
    allowsRandom = true,
    record,
    loras: requests = [],
    version,
    onlyChanged = version !== undefined && requests.length > 0,
    servedWith = (changed) => new Set(changed),
    signal,
  }: ModelsOptions,
): Promise<RepositoryPlan[]> {
  const changes: ReadonlyMap<string, PlannedLoras> =
    requests.length > 0 ? await (await import('./plan-loras.ts')).planLoras(models, requests, signal) : new Map();
  const served = servedWith([...changes.keys()]);
  const planned: RepositoryPlan[] = [];
  for (const model of models.filter(({ name }) => !onlyChanged || served.has(name))) {
    const engine = engines?.get(model.name);
    const state = await weightsState(model);
    const isRefused = state === 'random' && (checkpoint !== undefined || !allowsRandom);
    const weights = isRefused ? 'missing' : state;
    const loras = changes.get(model.name);
    const sources = await sourcesHash(model, weights, engine, record, loras);
    const modelFolder = join(folder, model.name);
    const tokenizer = tokenizers?.get(model.name);
    const found = await readManifest(modelFolder, hashes, signal);
    if (version !== undefined && found === undefined) {
      throw noFirstVersion(model.name, version, folder);
    }
    const existing = version === undefined ? found : found?.versions?.[version];
    const isWhole = existing?.sources === sources && (!tokenizer || tokenizerName in found!.files);
    const parts = { model, weights, sources, engine, tokenizer, loras };
    planned.push({ ...parts, found, existing: isWhole ? existing : undefined });
  }
  return planned;
}

function noFirstVersion(model: string, version: number, folder: string): FusionError {
  return new FusionError(
    Status.FAILED_PRECONDITION,
    `${model}: ${folder} must have its version 1, beside which version ${version} is added: build it first`,
    { reason: 'REPOSITORY_NOT_WRITABLE', field: 'repository' },
  );
}
