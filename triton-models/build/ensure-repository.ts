import { mkdir, mkdtemp, readdir, rename, rm, stat } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { Status } from 'nice-grpc-common';
import { FusionError } from '../../services/kit/errors.ts';
import { packageRoot } from '../../services/kit/package-root.ts';
import type { Preset } from '../../services/kit/preset.ts';
import { buildModel, type WeightsState, weightsState } from './build-model.ts';
import { type Manifest, readManifest, sourcesHash, writeManifest } from './manifest.ts';
import { type ServedModel, servedModels } from './served-models.ts';
import { weightsWarnings } from './weights-warnings.ts';

export interface RepositoryOptions {
  /** Default: `triton-models/repository/<preset>` of the project. */
  folder?: string;
  /** Checked between models. */
  signal?: AbortSignal;
  /** Called after each model. */
  onModel?: (model: RepositoryModel) => void;
}

export interface RepositoryModel {
  name: string;
  weights: WeightsState;
  parameters: number;
  /** Size of the weights file. */
  bytes: number;
  /** Whether it was built now; otherwise what was there is up to date. */
  isNew: boolean;
  seconds: number;
}

export interface Repository {
  /** Absolute. */
  folder: string;
  models: RepositoryModel[];
  /** Sentences that whoever gets a video from it should read. */
  warnings: string[];
}

// A build that takes longer has died and left its folder.
const longestBuildMilliseconds = 3_600_000;
const buildingPrefix = '.building-';

/**
 * Makes sure that the model repository of a preset is there and up to date: models whose preset, weights and builder
 * are unchanged are left alone, others appear complete or not at all. Throws NOT_FOUND when a checkpoint is missing
 * and FAILED_PRECONDITION when one does not fit or the folder can't be written.
 */
export async function ensureRepository(preset: Preset, options: RepositoryOptions = {}): Promise<Repository> {
  const folder = resolve(options.folder ?? join(packageRoot, 'triton-models', 'repository', preset.name));
  const models: RepositoryModel[] = [];
  for (const model of servedModels(preset)) {
    options.signal?.throwIfAborted();
    const started = performance.now();
    const { isNew, manifest } = await ensureModel(model, folder);
    const { weights, parameters, bytes } = manifest;
    const seconds = (performance.now() - started) / 1000;
    models.push({ name: model.name, weights, parameters, bytes, isNew, seconds });
    options.onModel?.(models.at(-1)!);
  }
  return { folder, models, warnings: await weightsWarnings(preset) };
}

async function ensureModel(model: ServedModel, folder: string): Promise<{ isNew: boolean; manifest: Manifest }> {
  const target = join(folder, model.name);
  const weights = await weightsState(model);
  const sources = await sourcesHash(model, weights);
  const existing = await readManifest(target);
  if (existing?.sources === sources) {
    return { isNew: false, manifest: existing };
  }
  const building = await makeBuildingFolder(folder);
  try {
    const fresh = join(building, model.name);
    const manifest = { sources, weights, ...(await buildModel(model, weights, fresh)) };
    await writeManifest(fresh, manifest);
    await replaceFolder(fresh, target, join(building, 'replaced'));
    return { isNew: true, manifest };
  } finally {
    await rm(building, { recursive: true, force: true });
  }
}

async function makeBuildingFolder(folder: string): Promise<string> {
  try {
    await mkdir(folder, { recursive: true });
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
