import { EnsembleModel } from '../ensemble/ensemble-model.ts';
import { stepsOf } from '../ensemble/validate-ensemble.ts';
import type { Model } from '../model.ts';
import { requirePathsWithin } from './config-paths.ts';
import { readLabels } from './model-folder.ts';
import type { ModelSource } from './model-source.ts';
import { type ExecutionOptions, loadOnnxModel } from './onnx-model.ts';
import { refuseUnsupported } from './validate-config.ts';
import { readyModel, unloadedReason, type VersionEntry, type VersionTable } from './version-table.ts';

/** Creates models and closes them once their requests have ended. */
export class LoadedModels {
  readonly #table: VersionTable;
  readonly #options: Omit<ExecutionOptions, 'awaitLater'>;
  readonly #closing = new Set<Promise<void>>();
  /** What each model was loaded from; the files of an override go with the last model that uses them. */
  readonly #origins = new Map<Model, ModelSource>();

  constructor(table: VersionTable, options: Omit<ExecutionOptions, 'awaitLater'>) {
    this.#table = table;
    this.#options = options;
  }

  async create(source: ModelSource, version: bigint): Promise<Model> {
    const model = await this.#load(source, version);
    this.#origins.set(model, source);
    return model;
  }

  async #load(source: ModelSource, version: bigint): Promise<Model> {
    requirePathsWithin(source.folder, version, source.config);
    if (stepsOf(source.config).length > 0) {
      refuseUnsupported(source.config);
      const find = (name: string, wanted: bigint) => this.#table.find(name, wanted === -1n ? undefined : wanted);
      return new EnsembleModel(source.config, version, readLabels(source.folder, source.config), find);
    }
    const awaitLater = (closing: Promise<void>) => void this.#track(source.name, closing);
    return await loadOnnxModel(source, version, { ...this.#options, awaitLater });
  }

  /** Unloads all versions of a model once their requests have ended. */
  retire(name: string): void {
    for (const [, entry] of this.#table.list(name) ?? []) {
      this.retireVersion(entry);
    }
  }

  retireVersion(entry: VersionEntry): void {
    const model = readyModel(entry);
    if (!model) {
      return;
    }
    entry.state = 'UNLOADING';
    void this.close(model).then(() => {
      entry.state = 'UNAVAILABLE';
      entry.reason = unloadedReason;
      entry.model = undefined;
    });
  }

  /** Resolves when the model's requests have ended and its memory is free. */
  close(model: Model): Promise<void> {
    const closing = model.close().finally(() => {
      const source = this.#origins.get(model);
      this.#origins.delete(model);
      if (source) {
        this.disposeUnused(source);
      }
    });
    return this.#track(model.name, closing);
  }

  /** Unloads all models and waits until their workers have ended. */
  async closeAll(): Promise<void> {
    for (const model of this.#table.allReadyModels()) {
      this.retire(model.name);
    }
    // A model that closes may leave behind an instance in its last run.
    while (this.#closing.size > 0) {
      await Promise.all(this.#closing);
    }
  }

  /** Removes a source's own files unless a model uses them. */
  disposeUnused(source: ModelSource): void {
    if (![...this.#origins.values()].includes(source)) {
      source.dispose();
    }
  }

  /** {@link closeAll} waits for it. */
  #track(model: string, work: Promise<void>): Promise<void> {
    const closing = work
      .catch((error: unknown) => this.#options.log.error({ model, err: error }, 'unloading failed'))
      .finally(() => this.#closing.delete(closing));
    this.#closing.add(closing);
    return closing;
  }
}
