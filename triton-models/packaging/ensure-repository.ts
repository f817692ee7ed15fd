import { mkdtemp, readdir, rename, rm, stat } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import { Status } from 'nice-grpc-common';
import { explainDiskFull } from '../../services/kit/disk-full.ts';
import { FusionError, invalidField } from '../../services/kit/errors.ts';
import { FileHashes } from '../../services/kit/file-hashes.ts';
import { makeFolder } from '../../services/kit/make-folder.ts';
import { reasonOf } from '../../services/kit/reason-of.ts';
import { modelsToServe } from '../../services/pipeline/called-models.ts';
import { hashesName } from '../../services/pipeline/model-manifest.ts';
import { chosenModelsFolder, modelsFolder } from '../../services/pipeline/models-folder.ts';
import { modelNames, type Preset } from '../../services/pipeline/preset.ts';
import type { Checkpoint } from '../checkpoints/checkpoint.ts';
import { referenceInputs } from '../references/reference-inputs.ts';
import { engineProfiles, itemsOfRequest } from '../tensorrt/engine-profiles.ts';
import { type Devices, type EnginePlan, planEngines } from '../tensorrt/plan-engines.ts';
import { addVersion } from './add-version.ts';
import { buildModel } from './build-model.ts';
import { checkCheckpoints, type PlannedModel } from './check-checkpoints.ts';
import { followArguments } from './follow-arguments.ts';
import { type Manifest, readManifest, sourcesHash, writeManifest } from './manifest.ts';
import { keyframeEncoders } from './movq-models.ts';
import { findTokenizer, includeTokenizer, placeTokenizer, tokenizerName } from './place-tokenizer.ts';
import { type LoraRequest, type PlannedLoras, planLoras } from './plan-loras.ts';
import type { RecordedCall } from './record-references.ts';
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

// A build that takes longer has died and left its folder behind.
const maxBuildMilliseconds = 3_600_000;
const buildingPrefix = '.building-';

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
  const models = [...usual, ...(await keyframeEncoders(preset, options.encoder, from))];
  const engine = target === 'onnxruntime' ? undefined : target.tensorrt;
  const built = await ensureModels(engine ? `${preset.name}-tensorrt` : preset.name, models, {
    ...options,
    engines: engine && planEngines(preset, models, engine),
    record: options.record ?? engine !== undefined,
    callsOf: (model) => callsToRecord(preset, model),
    servedWith: (changed) => modelsToServe(changed, preset),
    tokenizers: new Map([[modelNames.textEncoder, await findTokenizer(preset, checkpoint)]]),
    beforeWriting: () => (checkpoint === undefined ? Promise.resolve() : placeTokenizer(preset, checkpoint)),
  });
  const making = built.models.filter(({ name }) => usual.some((model) => model.name === name));
  return { ...built, warnings: randomWeightsWarnings(preset, making) };
}

/** A call of one item for each profile that an engine of the model has. */
function callsToRecord(preset: Preset, { name, interface: { inputs } }: ServedModel): RecordedCall[] {
  const endpoints = Object.entries(inputs).map(([input, spec]) => ({ name: input, ...spec }));
  return engineProfiles(preset, name, endpoints, itemsOfRequest(preset, name)).map((profile) => {
    const shapes = Object.fromEntries(Object.entries(profile.shapes).map(([input, { opt }]) => [input, opt]));
    return { name: profile.name, inputs: referenceInputs(preset, endpoints, shapes) };
  });
}

interface ModelsOptions extends Omit<RepositoryOptions, 'target'> {
  /** Calls for engines' warm-ups and for references. */
  callsOf?: (model: ServedModel) => RecordedCall[];
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
  const checkpoints = await checkCheckpoints(missing, options.ignoreExtra);
  await options.beforeWriting?.();
  const models: RepositoryModel[] = [];
  for (const plan of planned) {
    options.signal?.throwIfAborted();
    const started = performance.now();
    const { name } = plan.model;
    const { manifest, notes } = plan.existing
      ? { manifest: plan.existing, notes: [] }
      : await replaceModel(plan, checkpoints.get(name)!, folder, hashes, options);
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

function notesOf(checkpoint: Checkpoint | 'random' | undefined): readonly string[] {
  return (typeof checkpoint === 'object' && checkpoint.notes) || [];
}

interface RepositoryPlan extends PlannedModel {
  sources: string;
  engine: EnginePlan | undefined;
  /** The text encoder's tokenizer, to be placed next to its model. */
  tokenizer: string | undefined;
  loras: PlannedLoras | undefined;
  /** The manifest of the model's folder, if it is whole. */
  found: Manifest | undefined;
  /** The existing models that are up to date. */
  existing: Omit<Manifest, 'versions' | 'files'> | undefined;
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
  const changes = await planLoras(models, requests, signal);
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

async function replaceModel(
  { model, weights, sources, engine, tokenizer, loras, found }: RepositoryPlan,
  checkpoint: Checkpoint | 'random',
  folder: string,
  hashes: FileHashes,
  { callsOf, record = false, link, version, signal }: ModelsOptions,
): Promise<{ manifest: Manifest; notes: readonly string[] }> {
  const building = await makeBuildingFolder(folder);
  try {
    const fresh = join(building, model.name);
    const calls = engine || record ? callsOf?.(model) : undefined;
    const parts = { engine, calls, record: record && version === undefined, link, loras, version, signal };
    const { notes, ...built } = await buildModel(model, checkpoint, fresh, parts);
    const files = { ...built.files, ...(tokenizer && (await includeTokenizer(tokenizer, fresh))) };
    const own = { sources, weights, ...built, files };
    const target = join(folder, model.name);
    const manifest =
      version === undefined ? own : await addVersion(target, fresh, version, { existing: found!, built: own });
    if (version === undefined) {
      await writeManifest(fresh, manifest);
      const placed = await readManifest(target, hashes, signal);
      if (placed?.sources === sources && isDeepStrictEqual(placed.files, files)) {
        // Another process was faster, and may be loading the same files already.
        return { manifest: placed, notes };
      }
    }
    await replaceFolder(fresh, target, join(building, 'replaced'));
    for (const [name, { sha256 }] of Object.entries(manifest.files)) {
      // Another process may already have placed its own build there.
      await hashes.note(join(target, name), sha256).catch(ignoreMissing);
    }
    return { manifest: own, notes: [...notes, ...(version === undefined ? removedVersions(found) : [])] };
  } catch (error) {
    throw describeFailure(error, model.name, folder);
  } finally {
    await rm(building, { recursive: true, force: true });
  }
}

function removedVersions(found: Manifest | undefined): string[] {
  const numbers = Object.keys(found?.versions ?? {});
  return numbers.length > 0 ? [`version ${numbers.join(', ')} was removed: build it again`] : [];
}

async function makeBuildingFolder(folder: string): Promise<string> {
  try {
    await makeFolder(folder);
    await removeDeadBuilds(folder);
    return await mkdtemp(join(folder, buildingPrefix));
  } catch (error) {
    const { name, value } = chosenModelsFolder();
    if (value !== '' && folder.startsWith(join(resolve(value), 'repository'))) {
      throw invalidField(name, value, `a folder that can be created and written to (${reasonOf(error)})`);
    }
    throw new FusionError(
      Status.FAILED_PRECONDITION,
      `model repository: ${folder} can't be written: ${reasonOf(error)}`,
      { reason: 'REPOSITORY_NOT_WRITABLE', field: 'repository', cause: error },
    );
  }
}

async function removeDeadBuilds(folder: string): Promise<void> {
  for (const name of (await readdir(folder)).filter((entry) => entry.startsWith(buildingPrefix))) {
    const path = join(folder, name);
    const age = await stat(path).then(
      ({ mtimeMs }) => Date.now() - mtimeMs,
      () => 0,
    );
    if (age > maxBuildMilliseconds) {
      await rm(path, { recursive: true, force: true });
    }
  }
}

/** Moves `fresh` to `target`, replacing anything that was there or that another process puts there. */
async function replaceFolder(fresh: string, target: string, replaced: string): Promise<void> {
  for (let attempt = 0; ; attempt++) {
    await rename(target, `${replaced}-${attempt}`).catch(ignoreMissing);
    try {
      return await rename(fresh, target);
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      if ((code !== 'ENOTEMPTY' && code !== 'EEXIST') || attempt === 10) {
        throw error;
      }
    }
  }
}

function ignoreMissing(error: NodeJS.ErrnoException): void {
  if (error.code !== 'ENOENT') {
    throw error;
  }
}

/** For a model's weights, the report includes the model's name. */
function describeFailure(error: unknown, model: string, folder: string): unknown {
  if (error instanceof FusionError && error.field === 'checkpoint') {
    const { code, message, reason, field } = error;
    return new FusionError(code, `${model}: ${message}`, { reason, field, cause: error });
  }
  return explainDiskFull(error, `model repository ${folder}`, { field: 'repository' });
}
