import type { OnProgress } from '../stages/on-progress.ts';
import type { Job, StageName, StageProgress } from './job.ts';
import type { JobStore } from './job-store.ts';

/** Writes what a running job has done into the store, as it happens. */
export class JobRecorder {
  readonly #store: JobStore;
  readonly #id: string;
  #stages: StageProgress[] = [];
  #warnings: readonly string[];

  constructor(store: JobStore, { id, warnings }: Job) {
    this.#store = store;
    this.#id = id;
    this.#warnings = warnings;
  }

  /** The stage begun last. */
  get stage(): StageName | undefined {
    return this.#stages.at(-1)?.stage;
  }

  /** Runs a stage of `total` steps and records its beginning, its progress and its end. */
  async run<T>(stage: StageName, total: number, work: (onProgress: OnProgress) => Promise<T>): Promise<T> {
    const started = performance.now();
    const done = this.#stages;
    const record: OnProgress = async (step, steps) => {
      this.#stages = [...done, { stage, step, total: steps, seconds: (performance.now() - started) / 1000 }];
      await this.#save();
    };
    let last = total;
    await record(0, total);
    const result = await work(async (step, steps) => {
      last = steps;
      await record(step, steps);
    });
    await record(last, last);
    return result;
  }

  async warn(...warnings: string[]): Promise<void> {
    this.#warnings = [...this.#warnings, ...warnings];
    await this.#save();
  }

  #save(): Promise<void> {
    return this.#store.update(this.#id, { stages: this.#stages, warnings: this.#warnings });
  }
}
