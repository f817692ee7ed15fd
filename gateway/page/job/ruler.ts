const svg = 'http://www.w3.org/2000/svg';

/** How far each part of a video has come, 0 to 1. */
export interface RulerLevels {
  keyframes: number;
  /** Of each interpolation pass. */
  passes: readonly number[];
  decoded: number;
}

/** Height of a frame's mark by its origin: a keyframe, or the pass that made it. */
const heights = [100, 62, 36];

/**
 * The frames of a video as marks on a line, as many as there will be: tall ones for keyframes, shorter ones for each
 * interpolation pass. Marks grow while their frames are denoised and take the colour of the decoded part from left to
 * right. Keyframe marks stand under the middle of the storyboard's pictures.
 */
export class Ruler {
  readonly element = document.createElementNS(svg, 'svg');
  readonly frames: number;
  readonly #groups: SVGGElement[] = [];
  readonly #decoded = document.createElementNS(svg, 'rect');
  readonly #head = document.createElementNS(svg, 'line');
  readonly #counts: readonly [number, ...number[]];

  /** `counts`: of the keyframes, and of the frames after each interpolation pass. */
  constructor(counts: readonly [number, ...number[]]) {
    this.#counts = counts;
    this.frames = counts.at(-1)!;
    this.element.classList.add('ruler');
    this.element.setAttribute('viewBox', '0 0 1000 100');
    this.element.setAttribute('preserveAspectRatio', 'none');
    this.element.setAttribute('aria-hidden', 'true');
    for (let pass = counts.length - 1; pass >= 0; pass--) {
      const marks = this.#marksOf(pass);
      this.element.append(drawing(marks, `ghost order-${pass}`));
      const group = document.createElementNS(svg, 'g');
      group.classList.add('level');
      group.append(drawing(marks, `mark order-${pass}`));
      this.#groups[pass] = group;
      this.element.append(group);
    }
    this.#decoded.classList.add('decoded');
    this.#decoded.setAttribute('y', '96');
    this.#decoded.setAttribute('height', '4');
    this.#head.classList.add('head');
    this.#head.setAttribute('y1', '0');
    this.#head.setAttribute('y2', '100');
    this.element.append(this.#decoded, this.#head);
    this.show({ keyframes: 0, passes: [], decoded: 0 });
    this.moveHead(undefined);
  }

  /** Position of a frame's mark, 0 to 1. */
  position(frame: number): number {
    const first = 0.5 / this.#counts[0];
    return first + (frame / (this.frames - 1)) * (1 - 2 * first);
  }

  show({ keyframes, passes, decoded }: RulerLevels): void {
    this.#groups.forEach((group, order) => {
      const level = order === 0 ? keyframes : (passes[order - 1] ?? 0);
      group.style.setProperty('--level', String(level));
    });
    this.#decoded.setAttribute('width', String(1000 * decoded));
  }

  /** Marks the frame that is shown; nothing for none. */
  moveHead(frame: number | undefined): void {
    this.#head.classList.toggle('hidden', frame === undefined);
    const x = String(1000 * this.position(frame ?? 0));
    this.#head.setAttribute('x1', x);
    this.#head.setAttribute('x2', x);
  }

  /** Marks of the frames that came with one pass (0: the keyframes), as path data. */
  #marksOf(pass: number): string {
    const stride = (order: number) => (this.frames - 1) / (this.#counts[order]! - 1);
    const height = heights[pass] ?? heights.at(-1);
    let path = '';
    for (let frame = 0; frame < this.frames; frame += stride(pass)) {
      if (pass === 0 || frame % stride(pass - 1) !== 0) {
        path += `M${(1000 * this.position(frame)).toFixed(2)} 100v-${height}`;
      }
    }
    return path;
  }
}

function drawing(path: string, classes: string): SVGPathElement {
  const element = document.createElementNS(svg, 'path');
  element.setAttribute('d', path);
  element.setAttribute('class', classes);
  return element;
}
