import { availableParallelism } from 'node:os';
import { LRUCache } from 'lru-cache';
import { ModelConfig } from '../../../proto/gen/model_config.ts';
import { type FusionError, toFusionError } from '../../kit/errors.ts';
import { requireStepNames, stepsOf } from '../ensemble/validate-ensemble.ts';
import { internal, invalidArgument, statusWords, unavailable } from '../errors.ts';
import type { Model } from '../model.ts';
import { LoadedModels } from './loaded-models.ts';
import { isVersionChanged, subfolders, versionsToLoad } from './model-folder.ts';
import { type LoadOverrides, type ModelSource, noOverrides, readSource } from './model-source.ts';
import type { ExecutionOptions } from './onnx-model.ts';
import { ignoredFields } from './validate-config.ts';
import { readyModel, unloadedReason, VersionTable } from './version-table.ts';

export interface RepositoryOptions extends Omit<ExecutionOptions, 'awaitLater'> {
  /** Folder with a subfolder for each model. */
  folder: string;
}

/** Loads and unloads the models of a repository folder, one operation at a time. */
export class Repository {
  readonly table = new VersionTable();
  readonly #options: RepositoryOptions;
  /** The models to be served: loaded and not unloaded since. */
  readonly #sources = new Map<string, ModelSource>();
  /** The last log message about each model's configuration. */
  readonly #told = new LRUCache<string, string>({ max: 1000 });
  #queue: Promise<unknown> = Promise.resolve();
  readonly #models: LoadedModels;

  constructor(options: RepositoryOptions) {
    this.#options = options;
    this.#models = new LoadedModels(this.table, options);
  }

  /** Names of the models in the folder. Hidden folders are of models that are still being built. */
  names(): string[] {
    return subfolders(this.#options.folder).filter((name) => !name.startsWith('.'));
  }

  /**
   * Loads these models. Returns the errors of failed models; the others serve.
   *
   * @param triesAgain whether failed models are retried at the next call even if no file changed
   */
  loadAll(names: readonly string[], triesAgain: boolean): Promise<FusionError[]> {
    return this.#exclusively(async () => {
      const { changed, faults } = this.#read(names, noOverrides);
      const failures = await this.#bringUp(changed, triesAgain);
      return [...faults, ...failures.values()];
    });
  }

  /**
   * Loads a model, or reloads it if its files changed; an ensemble with its members. A version that serves keeps serving until
   * the new one is ready, or if it fails. Rejects with INTERNAL if the model cannot be read, with the reason in the log only,
   * like Triton, with INVALID_ARGUMENT if it cannot be run, and with UNAVAILABLE if the server is stopping.
   */
  load(name: string, overrides: LoadOverrides): Promise<void> {
    return this.#exclusively(async () => {
      const { changed, faults } = this.#read([name], overrides);
      const failures = await this.#bringUp(changed);
      const failure = failures.get(name);
      if (failure) {
        const refuse = this.#options.signal.aborted ? unavailable : invalidArgument;
        throw refuse(`load failed for model '${name}': ${failure.message}\n`);
      }
      if (faults.length > 0) {
        throw internal(`failed to load '${name}', failed to poll from model repository`);
      }
    });
  }

  /**
   * Updates what is served from the folder: new, changed and removed models and versions. A model that fails stays as it was,
   * with the reason in the index, until its files change again.
   */
  poll(): Promise<void> {
    return this.#exclusively(async () => {
      const names = this.names();
      for (const gone of [...this.#sources.keys()].filter((name) => !names.includes(name))) {
        this.#take(gone, false);
        this.table.forgetFailed(gone, []);
      }
      const { changed } = this.#read(names, noOverrides);
      await this.#bringUp(changed, false);
    });
  }

  /**
   * Unloads a model after its current requests, and the ensembles that need it. Ignores unknown names.
   *
   * @param withDependents also unload members that were only loaded for this ensemble
   */
  unload(name: string, withDependents: boolean): Promise<void> {
    return this.#exclusively(async () => this.#take(name, withDependents));
  }

  #take(name: string, withDependents: boolean): void {
    for (const removed of this.#remove(name, withDependents)) {
      this.#models.retire(removed);
    }
    for (const ensemble of this.#sources.values()) {
      if (!this.#membersAreReady(ensemble)) {
        this.#models.retire(ensemble.name);
      }
    }
  }

  /** Unloads all models and waits until their workers have ended. */
  async close(): Promise<void> {
    await this.#exclusively(async () => {
      await this.#models.closeAll();
    });
  }

  #exclusively<T>(operation: () => Promise<T>): Promise<T> {
    const result = this.#queue.then(operation);
    this.#queue = result.catch(() => {});
    return result;
  }

  /** Reads the sources of models and of the models in their ensembles. */
  #read(names: readonly string[], overrides: LoadOverrides): { changed: ModelSource[]; faults: FusionError[] } {
    const { folder, autoComplete } = this.#options;
    const changed: ModelSource[] = [];
    const faults: FusionError[] = [];
    // Grows while it is walked.
    const pending = new Set(names);
    for (const name of pending) {
      const previous = this.#sources.get(name);
      const isExplicit = names.includes(name);
      try {
        const source = readSource(folder, name, isExplicit ? overrides : noOverrides, previous, autoComplete);
        if (previous && isExplicit) {
          previous.isExplicit = true;
        }
        if (source) {
          source.isExplicit = isExplicit || (previous?.isExplicit ?? false);
          changed.push(source);
          this.#logIgnored(source);
        }
        const { config } = source ?? previous!;
        for (const { modelName } of stepsOf(config)) {
          pending.add(modelName);
        }
      } catch (error) {
        this.#logOnce(name, `cannot read model: ${(error as Error).message}`, 'error');
        faults.push(toFusionError(error));
      }
    }
    return { changed, faults };
  }

  #logIgnored({ name, config }: ModelSource): void {
    const fields = ignoredFields(config);
    if (fields.length > 0) {
      this.#logOnce(name, `ignoring ${fields.join(', ')} in the model's configuration`, 'warn');
    }
  }

  /** Logs a message unless it is the model's last one: polling would repeat it. */
  #logOnce(model: string, text: string, severity: 'error' | 'warn'): void {
    if (this.#told.get(model) !== text) {
      this.#told.set(model, text);
      this.#options.log[severity]({ model }, text);
    }
  }

  /**
   * Loads changed models, then every ensemble that they complete or outdate. Returns the errors of failed models.
   *
   * @param triesAgain whether failed models are retried at the next call even if no file changed
   */
  async #bringUp(changed: readonly ModelSource[], triesAgain = true): Promise<Map<string, FusionError>> {
    const failures = new Map<string, FusionError>();
    const previousTimes = new Map(changed.map(({ name }) => [name, this.#sources.get(name)?.times]));
    for (const source of changed) {
      this.#sources.set(source.name, source);
    }
    const attempt = async (source: ModelSource) => {
      const previous = previousTimes.get(source.name);
      try {
        if (this.#options.signal.aborted) {
          throw unavailable('the server is stopping');
        }
        await this.#bringUpOne(source, previous);
        done.add(source.name);
      } catch (error) {
        failures.set(source.name, toFusionError(error));
        if (!this.#options.signal.aborted) {
          this.#options.log.error({ model: source.name }, `cannot load model: ${(error as Error).message}`);
        }
        if (triesAgain) {
          source.times = previous ?? { newest: 0n, entries: new Map() };
        }
        this.#models.disposeUnused(source);
      }
    };
    const done = new Set<string>();
    const plain = changed.filter((source) => stepsOf(source.config).length === 0);
    await inParallel(plain, availableParallelism(), attempt);

    const ensembles = [...this.#sources.values()].filter((source) => stepsOf(source.config).length > 0);
    const waiting = new Set(ensembles.filter((source) => changed.includes(source) || this.#isOutdated(source, done)));
    while (waiting.size > 0) {
      const names = new Set([...waiting].map((source) => source.name));
      const free = [...waiting].filter((source) => !stepsOf(source.config).some((step) => names.has(step.modelName)));
      // Nothing free: ensembles that contain each other fail for lack of ready members.
      for (const source of free.length > 0 ? free : [...waiting]) {
        waiting.delete(source);
        await attempt(source);
      }
    }
    return failures;
  }

  /** An ensemble is reloaded with its members, and loaded once its last missing member is ready. */
  #isOutdated(ensemble: ModelSource, loaded: ReadonlySet<string>): boolean {
    return stepsOf(ensemble.config).some((step) => loaded.has(step.modelName)) && this.#membersAreReady(ensemble);
  }

  #membersAreReady(source: ModelSource): boolean {
    return stepsOf(source.config).every((step) => {
      const ready = this.table.readyModels(step.modelName);
      return ready.some((model) => step.modelVersion === -1n || model.version === step.modelVersion);
    });
  }

  async #bringUpOne(source: ModelSource, previousTimes: ModelSource['times'] | undefined): Promise<void> {
    const { name } = source;
    const isEnsemble = stepsOf(source.config).length > 0;
    requireStepNames(source.config);
    if (isEnsemble && !this.#membersAreReady(source)) {
      this.#models.retire(name);
      throw invalidArgument(`ensemble '${name}' depends on a model or version that is not loaded`);
    }
    const versions = versionsToLoad(source.folder, source.config.versionPolicy);
    this.table.forgetFailed(name, versions);
    const entries = this.table.versions(name);
    if (versions.length === 0) {
      throw invalidArgument(`at least one version must be available under the version policy of model '${name}'`);
    }
    const loaded = new Map<bigint, Model>();
    const kept = new Set<bigint>();
    const faults: string[] = [];
    const loadVersion = async (version: bigint) => {
      const entry = entries.get(version);
      const serving = readyModel(entry);
      const isSame =
        previousTimes !== undefined &&
        !source.isOverridden &&
        !isVersionChanged(previousTimes, source.times, version) &&
        isSameModel(entry?.declared, source.config);
      if (serving && !isEnsemble && isSame) {
        kept.add(version);
        return;
      }
      if (!serving) {
        entries.set(version, { state: 'LOADING', reason: '', model: undefined, declared: source.config });
      }
      try {
        loaded.set(version, await this.#models.create(source, version));
      } catch (thrown) {
        const error = toFusionError(thrown);
        if (serving && source.isOverridden && isSameModel(entry?.declared, source.config)) {
          // Like Triton: a failed override does not stop a model that serves with the same configuration.
          this.#options.log.warn(
            { model: name },
            `cannot load the files of the request; the model keeps serving: ${error.message}`,
          );
          kept.add(version);
          return;
        }
        const reason = `${statusWords(error)}: ${error.message}`;
        faults.push(`version ${version} is at UNAVAILABLE state: ${reason};`);
        if (!serving) {
          entries.set(version, { state: 'UNAVAILABLE', reason, model: undefined, declared: source.config });
        }
      }
    };
    await Promise.all(versions.map(loadVersion));

    if (faults.length > 0) {
      for (const [version, model] of loaded) {
        const entry = entries.get(version)!;
        if (entry.state === 'LOADING') {
          entry.state = 'UNAVAILABLE';
          entry.reason = unloadedReason;
        }
        void this.#models.close(model);
      }
      throw invalidArgument(faults.join(''));
    }
    for (const [version, entry] of entries) {
      const model = loaded.get(version);
      if (model) {
        const replaced = readyModel(entry);
        entries.set(version, { state: 'READY', reason: '', model, declared: source.config });
        if (replaced) {
          void this.#models.close(replaced);
        }
      } else if (!kept.has(version)) {
        this.#models.retireVersion(entry);
      }
    }
    this.#options.log.info({ model: name, versions: versions.map(String) }, 'model loaded');
  }

  /** Removes a model and the members that only served it; returns their names. */
  #remove(name: string, withDependents: boolean): string[] {
    const source = this.#sources.get(name);
    if (!source) {
      return [];
    }
    this.#sources.delete(name);
    if (!withDependents) {
      return [name];
    }
    const members = stepsOf(source.config).map((step) => step.modelName);
    const unneeded = members.filter(
      (member) =>
        this.#sources.get(member)?.isExplicit === false &&
        ![...this.#sources.values()].some(({ config }) => stepsOf(config).some((step) => step.modelName === member)),
    );
    return [name, ...unneeded.flatMap((member) => this.#remove(member, true))];
  }
}

/** Whether two configurations give the same model, whatever versions they serve. */
function isSameModel(serving: ModelConfig | undefined, wanted: ModelConfig): boolean {
  const encode = (config: ModelConfig) => ModelConfig.encode({ ...config, versionPolicy: undefined }).finish();
  return serving !== undefined && Buffer.compare(encode(serving), encode(wanted)) === 0;
}

async function inParallel<T>(items: readonly T[], limit: number, work: (item: T) => Promise<void>): Promise<void> {
  const remaining = items.values();
  const workers = Array.from({ length: Math.min(limit, items.length) }, async () => {
    for (const item of remaining) {
      await work(item);
    }
  });
  await Promise.all(workers);
}
