/**
 * Work that never runs twice at once: any number of requests during a run cause one more run afterwards.
 */
export class Rerun {
  readonly #work: () => Promise<void>;
  readonly #onFailure: (error: unknown) => void;
  #running: Promise<void> | undefined;
  #isWanted = false;

  /** @param onFailure called with each failure, which does not affect later runs */
  constructor(work: () => Promise<void>, onFailure: (error: unknown) => void) {
    this.#work = work;
    this.#onFailure = onFailure;
  }

  /** Starts a run, now or after the current one. */
  run(): void {
    this.#isWanted = true;
    this.#running ??= this.#runAll();
  }

  /** Resolves when no run is in progress. */
  async idle(): Promise<void> {
    await this.#running;
  }

  async #runAll(): Promise<void> {
    while (this.#isWanted) {
      this.#isWanted = false;
      try {
        await this.#work();
      } catch (error) {
        this.#onFailure(error);
      }
    }
    this.#running = undefined;
  }
}
