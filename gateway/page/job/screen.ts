import { setText } from '../dom.ts';
import { prefersReducedMotion } from './motion.ts';
import { drawFrame, drawGrain, type FrameGrid } from './pictures.ts';

/** The large picture while there is no video yet: grain, then the keyframes one after the other. */
export class Screen {
  readonly #canvas: HTMLCanvasElement;
  readonly #caption: HTMLElement;
  readonly #show: (keyframe: number | undefined) => void;
  #grid: FrameGrid | undefined;
  #index = 0;
  #timer: ReturnType<typeof setInterval> | undefined;

  /** `show` receives the keyframe on screen. */
  constructor(
    canvas: HTMLCanvasElement,
    caption: HTMLElement,
    [width, height]: [number, number],
    show: (keyframe: number | undefined) => void,
  ) {
    this.#canvas = canvas;
    this.#canvas.width = width;
    this.#canvas.height = height;
    this.#caption = caption;
    this.#show = show;
  }

  showGrain(tick: number, left: number, caption: string): void {
    setText(this.#caption, caption);
    drawGrain(this.#canvas, 0, tick, left);
  }

  /** Plays the pictures at `rate` per second, or shows only the first if reduced motion is preferred. */
  playGrid(grid: FrameGrid, caption: string, rate: number): void {
    setText(this.#caption, caption);
    this.stop();
    this.#grid = grid;
    this.#showFrame(Math.min(this.#index, grid.keyframes.length - 1));
    if (!prefersReducedMotion()) {
      this.#timer = setInterval(() => this.#showFrame((this.#index + 1) % grid.keyframes.length), 1000 / rate);
    }
  }

  /** Stops on a keyframe, if there is a picture of it. */
  hold(keyframe: number): void {
    const index = this.#grid?.keyframes.indexOf(keyframe) ?? -1;
    if (index >= 0) {
      this.stop();
      this.#showFrame(index);
    }
  }

  stop(): void {
    clearInterval(this.#timer);
    this.#show(undefined);
  }

  #showFrame(index: number): void {
    if (this.#grid) {
      this.#index = index;
      drawFrame(this.#canvas, this.#grid, index);
      this.#show(this.#grid.keyframes[index]);
    }
  }
}
