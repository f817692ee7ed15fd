import type { StageHooks } from '../../gateway/testing/stage-doubles.ts';

type GatedStage = 'keyframes' | 'interpolation' | 'decoder';

/** Pauses stage doubles, so that a test can examine a moment of a job for as long as it needs. */
export class StageGates {
  /** How often a stage was cancelled while paused. */
  cancelled = 0;
  readonly #limits: Partial<Record<GatedStage, number>> = {};
  #waiting: (() => void)[] = [];

  readonly hooks: StageHooks = {
    keyframes: (step, signal) => this.#pass('keyframes', step, signal),
    interpolation: (step, signal) => this.#pass('interpolation', step, signal),
    decoder: (frame, signal) => this.#pass('decoder', frame, signal),
  };

  /** Lets a stage report this many steps (frames, for the decoder) and no more. */
  hold(stage: GatedStage, steps: number): void {
    this.#limits[stage] = steps;
    this.#wake();
  }

  /** Lets all stages, or one, run to the end. */
  open(stage?: GatedStage): void {
    for (const name of stage ? [stage] : (Object.keys(this.#limits) as GatedStage[])) {
      delete this.#limits[name];
    }
    this.#wake();
  }

  async #pass(stage: GatedStage, step: number, signal: AbortSignal): Promise<void> {
    // Steps count from 1, frames from 0.
    const done = stage === 'decoder' ? step : step - 1;
    while (done >= (this.#limits[stage] ?? Number.POSITIVE_INFINITY)) {
      await new Promise<void>((resolve) => {
        this.#waiting.push(resolve);
        signal.addEventListener('abort', () => resolve(), { once: true });
      });
      if (signal.aborted) {
        this.cancelled++;
        signal.throwIfAborted();
      }
    }
  }

  #wake(): void {
    for (const resolve of this.#waiting.splice(0)) {
      resolve();
    }
  }
}
