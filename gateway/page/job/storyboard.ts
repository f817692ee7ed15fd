import { drawFrame, drawGrain, type FrameGrid } from './pictures.ts';

/** The keyframes side by side: grain while they are noise, then an early preview, then the decoded pictures. */
export class Storyboard {
  readonly #element: HTMLElement;
  readonly #tiles: HTMLCanvasElement[];
  /** Keyframes whose picture has arrived. */
  readonly #pictured = new Set<number>();

  /** `choose` is called with the keyframe that was clicked. */
  constructor(element: HTMLElement, count: number, [width, height]: [number, number], choose: (index: number) => void) {
    this.#element = element;
    element.style.setProperty('--tiles', String(count));
    this.#tiles = Array.from({ length: count }, (_, index) => {
      const tile = document.createElement('canvas');
      tile.width = width;
      tile.height = height;
      // The slider below does the same for the keyboard.
      tile.addEventListener('click', () => choose(index));
      return tile;
    });
    element.append(...this.#tiles);
  }

  /** `left`: how much of the denoising is still to come, 0 to 1. */
  showGrain(tick: number, left: number): void {
    if (this.#pictured.size === 0) {
      this.#describe('waiting', `Storyboard: ${this.#tiles.length} keyframes, not yet visible`);
    }
    this.#tiles.forEach((tile, index) => {
      if (!this.#pictured.has(index)) {
        drawGrain(tile, index, tick, left);
      }
    });
  }

  showGrid(grid: FrameGrid, kind: 'preview' | 'storyboard'): void {
    const what = kind === 'preview' ? 'early preview of the keyframes' : 'the keyframes';
    this.#describe(kind, `Storyboard: ${what}, ${grid.keyframes.length} pictures`);
    grid.keyframes.forEach((keyframe, index) => {
      drawFrame(this.#tiles[keyframe]!, grid, index);
      this.#pictured.add(keyframe);
    });
  }

  /** Marks the keyframe that is shown or was passed last. */
  mark(index: number | undefined): void {
    this.#tiles.forEach((tile, position) => {
      tile.classList.toggle('current', position === index);
    });
  }

  #describe(state: string, label: string): void {
    this.#element.dataset.state = state;
    this.#element.setAttribute('aria-label', label);
  }
}
