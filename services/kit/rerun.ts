/**
 * Work that is done one at a time, as often as it is asked for: asking while it is under way means once more afterwards,
 * however often that was.
 */
export class Rerun {
  readonly #work: () => Promise<void>;
  readonly #onFailure: (error: unknown) => void;
  #running: Promise<void> | undefined;
  #isWanted = false;

  /** @param onFailure told of each failure; the next run is asked for as if there had been none */
  constructor(work: () => Promise<void>, onFailure: (error: unknown) => void) {
    this.#work = work;
    this.#onFailure = onFailure;
  }

  /** Begins, or begins once more afterwards. */
  run(): void {
    this.#isWanted = true;
    this.#running ??= this.#runAll();
  }

  /** Resolves when nothing is under way. */
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
