import { mkdtemp, readdir, rename, rm, stat } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import { Status } from 'nice-grpc-common';
import { explainDiskFull } from '../../services/kit/disk-full.ts';
import { FusionError, invalidField } from '../../services/kit/errors.ts';
import type { FileHashes } from '../../services/kit/file-hashes.ts';
import { makeFolder } from '../../services/kit/make-folder.ts';
import { reasonOf } from '../../services/kit/reason-of.ts';
import { chosenModelsFolder } from '../../services/pipeline/models-folder.ts';
import type { Checkpoint } from '../checkpoints/checkpoint.ts';
import type { EnginePlan } from '../tensorrt/plan-engines.ts';
import { addVersion } from './add-version.ts';
import { buildModel } from './build-model.ts';
import type { PlannedModel } from './check-checkpoints.ts';
import { type Manifest, readManifest, writeManifest } from './manifest.ts';
import { includeTokenizer } from './place-tokenizer.ts';
import type { PlannedLoras } from './plan-loras.ts';
import type { RecordedCall } from './record-references.ts';
import type { ServedModel } from './served-models.ts';

// A build that takes longer has died and left its folder behind.
const maxBuildMilliseconds = 3_600_000;
const buildingPrefix = '.building-';

/** A model of a repository, and what there is of it. */
export interface RepositoryPlan extends PlannedModel {
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

export interface ReplacingOptions {
  /** Calls for engines' warm-ups and for references. */
  callsOf?: (model: ServedModel) => Promise<RecordedCall[]>;
  /** Whether references are recorded. Default: they are not. */
  record?: boolean | undefined;
  link?: boolean | undefined;
  /** See `RepositoryOptions`. */
  version?: number | undefined;
  signal?: AbortSignal | undefined;
}

/** Builds a model and replaces the one in the repository's folder. */
export async function replaceModel(
  { model, weights, sources, engine, tokenizer, loras, found }: RepositoryPlan,
  checkpoint: Checkpoint | 'random',
  folder: string,
  hashes: FileHashes,
  { callsOf, record = false, link, version, signal }: ReplacingOptions,
): Promise<{ manifest: Manifest; notes: readonly string[] }> {
  const building = await makeBuildingFolder(folder);
  try {
    const fresh = join(building, model.name);
    const calls = engine || record ? await callsOf?.(model) : undefined;
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
