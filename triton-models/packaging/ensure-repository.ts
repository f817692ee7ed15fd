import { mkdtemp, readdir, rename, rm, stat } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { Status } from 'nice-grpc-common';
import { FusionError } from '../../services/kit/errors.ts';
import { makeFolder } from '../../services/kit/make-folder.ts';
import { packageRoot } from '../../services/kit/package-root.ts';
import { modelNames, type Preset } from '../../services/pipeline/preset.ts';
import type { Checkpoint } from '../checkpoints/checkpoint.ts';
import { type EnginePlan, planEngines } from '../tensorrt/plan-engines.ts';
import { buildModel } from './build-model.ts';
import { checkCheckpoints, type PlannedModel } from './check-checkpoints.ts';
import { type Manifest, readManifest, sourcesHash, writeManifest } from './manifest.ts';
import { findTokenizer, hasTokenizer, includeTokenizer, placeTokenizer } from './place-tokenizer.ts';
import { servedModels } from './served-models.ts';
import { type WeightsState, weightsState } from './weights-state.ts';
import { randomWeightsWarnings } from './weights-warnings.ts';

export interface RepositoryOptions {
  /** Default: `triton-models/repository/<preset>` of the project, with `-tensorrt` after it for that target. */
  folder?: string;
  /** Default: portable models, which ONNX Runtime serves on the CPU. */
  target?: Target;
  /** Folder of the checkpoints; default: where the preset's weights are. Without them nothing is built. */
  checkpoint?: string;
  /** Whether tensors in a checkpoint that its network does not have are left out; default: they are an error. */
  ignoreExtra?: boolean;
  /** Checked between models, and while weights are converted. */
  signal?: AbortSignal;
  /** Called after each model. */
  onModel?: (model: RepositoryModel) => void;
}

/** TensorRT: graphs that engines are compiled from, for a GPU with so many bytes of memory. */
export type Target = 'onnxruntime' | { tensorrt: { deviceMemory: number } };

export interface RepositoryModel {
  name: string;
  weights: WeightsState;
  parameters: number;
  /** Bytes that the parameters take. */
  bytes: number;
  /** Whether it was built now; otherwise what was there is up to date. */
  isNew: boolean;
  seconds: number;
  /** What was recognised in the checkpoint that it was built from now, or left out of it: sentences. */
  notes: readonly string[];
}

export interface Repository {
  /** Absolute. */
  folder: string;
  models: RepositoryModel[];
  /** Warnings for every video made with it. */
  warnings: string[];
}

// A build that takes longer has died and left its folder.
const longestBuildMilliseconds = 3_600_000;
const buildingPrefix = '.building-';

/**
 * Makes sure that the model repository of a preset is there and up to date: models whose preset, weights and builder
 * are unchanged are left alone, others appear complete or not at all. All checkpoints are checked before anything is
 * written. Throws NOT_FOUND when one is missing, FAILED_PRECONDITION when some do not fit, naming every tensor at fault,
 * or the folder can't be written, and RESOURCE_EXHAUSTED when the disk is full.
 */
export async function ensureRepository(preset: Preset, options: RepositoryOptions = {}): Promise<Repository> {
  const { target = 'onnxruntime' } = options;
  const usual = target === 'onnxruntime' ? preset.name : `${preset.name}-tensorrt`;
  const folder = resolve(options.folder ?? join(packageRoot, 'triton-models', 'repository', usual));
  const planned = await planModels(preset, folder, target, options.checkpoint);
  const missing = planned.filter(({ existing }) => existing === undefined);
  const checkpoints = await checkCheckpoints(missing, options.ignoreExtra);
  if (options.checkpoint !== undefined) {
    await placeTokenizer(preset, options.checkpoint);
  }
  const models: RepositoryModel[] = [];
  for (const plan of planned) {
    options.signal?.throwIfAborted();
    const started = performance.now();
    const { name } = plan.model;
    const manifest = plan.existing ?? (await replaceModel(plan, checkpoints.get(name)!, folder, options.signal));
    const { weights, parameters, bytes } = manifest;
    const seconds = (performance.now() - started) / 1000;
    models.push({
      name,
      weights,
      parameters,
      bytes,
      isNew: plan.existing === undefined,
      seconds,
      notes: notesOf(checkpoints.get(name)),
    });
    options.onModel?.(models.at(-1)!);
  }
  return { folder, models, warnings: randomWeightsWarnings(preset, models) };
}

function notesOf(checkpoint: Checkpoint | 'random' | undefined): readonly string[] {
  return (typeof checkpoint === 'object' && checkpoint.notes) || [];
}

interface RepositoryPlan extends PlannedModel {
  sources: string;
  engine: EnginePlan | undefined;
  /** What the text encoder's texts are split by, to lie beside its model. */
  tokenizer: string | undefined;
  /** What stands in the folder and is up to date. */
  existing: Manifest | undefined;
}

async function planModels(
  preset: Preset,
  folder: string,
  target: Target,
  checkpoint?: string,
): Promise<RepositoryPlan[]> {
  const models = servedModels(preset, checkpoint && resolve(checkpoint));
  const engines = target === 'onnxruntime' ? undefined : planEngines(preset, models, target.tensorrt.deviceMemory);
  const planned: RepositoryPlan[] = [];
  for (const model of models) {
    const engine = engines?.get(model.name);
    const state = await weightsState(model);
    // A named checkpoint rules out random weights.
    const weights = checkpoint !== undefined && state === 'random' ? 'missing' : state;
    const sources = await sourcesHash(model, weights, engine);
    const modelFolder = join(folder, model.name);
    const tokenizer = model.name === modelNames.textEncoder ? await findTokenizer(preset, checkpoint) : undefined;
    const manifest = await readManifest(modelFolder);
    const isWhole = manifest?.sources === sources && (!tokenizer || (await hasTokenizer(modelFolder)));
    planned.push({ model, weights, sources, engine, tokenizer, existing: isWhole ? manifest : undefined });
  }
  return planned;
}

async function replaceModel(
  { model, weights, sources, engine, tokenizer }: RepositoryPlan,
  checkpoint: Checkpoint | 'random',
  folder: string,
  signal?: AbortSignal,
): Promise<Manifest> {
  const building = await makeBuildingFolder(folder);
  try {
    const fresh = join(building, model.name);
    const manifest = { sources, weights, ...(await buildModel(model, checkpoint, fresh, engine, signal)) };
    if (tokenizer) {
      await includeTokenizer(tokenizer, fresh);
    }
    await writeManifest(fresh, manifest);
    await replaceFolder(fresh, join(folder, model.name), join(building, 'replaced'));
    return manifest;
  } catch (error) {
    throw (error as NodeJS.ErrnoException).code === 'ENOSPC' ? diskFull(folder, error) : error;
  } finally {
    await rm(building, { recursive: true, force: true });
  }
}

async function makeBuildingFolder(folder: string): Promise<string> {
  try {
    await makeFolder(folder);
    await removeDeadBuilds(folder);
    return await mkdtemp(join(folder, buildingPrefix));
  } catch (error) {
    throw new FusionError(
      Status.FAILED_PRECONDITION,
      `model repository: ${folder} can't be written: ${(error as Error).message}`,
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
    if (age > longestBuildMilliseconds) {
      await rm(path, { recursive: true, force: true });
    }
  }
}

/** Puts `fresh` at `target`, whatever was there or is put there meanwhile by another process. */
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

function diskFull(folder: string, cause: unknown): FusionError {
  return new FusionError(Status.RESOURCE_EXHAUSTED, `model repository: the disk of ${folder} is full`, {
    reason: 'DISK_FULL',
    field: 'repository',
    cause,
  });
}
