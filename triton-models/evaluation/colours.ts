import type { Rgb } from '../world/render.ts';

/** Euclidean distance of two colours, 0 to 442. */
export function colourDistance(a: Rgb, b: Rgb): number {
  return Math.hypot(a[0] - b[0], a[1] - b[1], a[2] - b[2]);
}

/** The name of the nearest palette colour. */
export function nearestColour(colour: Rgb, palette: Readonly<Record<string, Rgb>>): string {
  const names = Object.keys(palette);
  const distances = names.map((name) => colourDistance(colour, palette[name]!));
  return names[distances.indexOf(Math.min(...distances))]!;
}

/** The per-channel median of several colours. */
export class MedianColour {
  readonly #counts = Array.from({ length: 3 }, () => new Uint32Array(256));
  #total = 0;

  add(frame: Uint8Array, pixel: number): void {
    for (let channel = 0; channel < 3; channel++) {
      this.#counts[channel]![frame[pixel * 3 + channel]!]!++;
    }
    this.#total++;
  }

  value(): Rgb {
    const [red, green, blue] = this.#counts.map((counts) => this.#median(counts)) as [number, number, number];
    return [red, green, blue];
  }

  #median(counts: Uint32Array): number {
    let passed = 0;
    return counts.findIndex((count) => (passed += count) * 2 > this.#total);
  }
}
