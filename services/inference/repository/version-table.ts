import type { ModelConfig } from '../../../proto/gen/model_config.ts';
import { invalidArgument, notFound, unavailable } from '../errors.ts';
import type { Model } from '../model.ts';

export type VersionState = 'LOADING' | 'READY' | 'UNLOADING' | 'UNAVAILABLE';

export interface VersionEntry {
  state: VersionState;
  /** Why it is not ready. */
  reason: string;
  model: Model | undefined;
  /** The configuration that it was loaded from, before the model's file completed it. */
  declared: ModelConfig;
}

export const unloadedReason = 'unloaded';

/** The model of an entry that serves. */
export function readyModel(entry: VersionEntry | undefined): Model | undefined {
  return entry?.state === 'READY' ? entry.model : undefined;
}

/** Every version of every requested model, with its state. */
export class VersionTable {
  readonly #models = new Map<string, Map<bigint, VersionEntry>>();

  /** The versions of a model by number; adds the model to the table. */
  versions(name: string): Map<bigint, VersionEntry> {
    let versions = this.#models.get(name);
    if (!versions) {
      versions = new Map();
      this.#models.set(name, versions);
    }
    return versions;
  }

  /** The known versions in ascending order; `undefined` for a model that was never requested. */
  list(name: string): [bigint, VersionEntry][] | undefined {
    const versions = this.#models.get(name);
    return versions && [...versions].sort(([a], [b]) => (a < b ? -1 : 1));
  }

  readyModels(name: string): Model[] {
    return (this.list(name) ?? []).flatMap(([, { state, model }]) => (state === 'READY' && model ? [model] : []));
  }

  allReadyModels(): Model[] {
    return [...this.#models.keys()].sort().flatMap((name) => this.readyModels(name));
  }

  /**
   * A ready model, of the latest version by default. Throws NOT_FOUND for an unknown model or version and UNAVAILABLE for one
   * that is not ready.
   */
  find(name: string, version?: bigint): Model {
    const prefix = `Request for unknown model: '${name}'`;
    const versions = this.#models.get(name);
    if (!versions) {
      throw notFound(`${prefix} is not found`);
    }
    if (version === undefined) {
      const latest = this.readyModels(name).at(-1);
      if (!latest) {
        throw notFound(`${prefix} has no available versions`);
      }
      return latest;
    }
    const entry = versions.get(version);
    if (!entry) {
      throw notFound(`${prefix} version ${version} is not found`);
    }
    if (entry.state !== 'READY' || !entry.model) {
      throw unavailable(`${prefix} version ${version} is not at ready state`);
    }
    return entry.model;
  }

  /** Removes the versions of a model that failed to load and are no longer wanted; the model too if none is left. */
  forgetFailed(name: string, wanted: readonly bigint[]): void {
    const versions = this.#models.get(name);
    for (const [version, { state, reason }] of versions ?? []) {
      if (state === 'UNAVAILABLE' && reason !== unloadedReason && !wanted.includes(version)) {
        versions!.delete(version);
      }
    }
    if (versions?.size === 0) {
      this.#models.delete(name);
    }
  }

  /** Whether every requested version is ready or was unloaded on purpose. */
  areAllReady(): boolean {
    return [...this.#models.values()].every(
      (versions) =>
        versions.size > 0 &&
        [...versions.values()].every(({ state, reason }) => state === 'READY' || reason === unloadedReason),
    );
  }
}

/**
 * The number of a requested version; `undefined` for the empty text, which means the latest. Reads as C does: leading
 * blanks and trailing text are ignored. Throws INVALID_ARGUMENT for a text without a number and for a negative one.
 */
export function parseVersion(text: string): bigint | undefined {
  if (text === '') {
    return undefined;
  }
  const digits = /^\s*([+-]?)(\d+)/.exec(text);
  const version = digits && BigInt(digits[2]!) * (digits[1] === '-' ? -1n : 1n);
  if (version === null || version >= 2n ** 63n || version < -(2n ** 63n)) {
    throw invalidArgument(
      `failed to get model version from specified version string '${text}' (details: stol), version should be an integral value > 0`,
    );
  }
  if (version < 0n) {
    throw invalidArgument(`invalid model version specified '${text}' , version should be an integral value > 0`);
  }
  return version;
}
