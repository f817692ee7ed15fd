/**
 * A picture at half its height and width, as Pillow's bicubic `resize` makes it, which the published code uses: the kernel
 * (a = −0.5) is stretched by the factor and cut off at the borders, and rows are rounded to bytes before columns.
 *
 * @param pixels [height, width, channels], bytes; height and width are even
 */
export function halvePicture(
  pixels: Uint8Array,
  [height, width, channels]: readonly [number, number, number],
): Uint8Array<ArrayBuffer> {
  const narrow = halveAxis(pixels, { outer: height, length: width, inner: channels });
  return halveAxis(narrow, { outer: 1, length: height, inner: (width / 2) * channels });
}

/** Halves the middle one of three axes. */
function halveAxis(
  values: Uint8Array,
  { outer, length, inner }: { outer: number; length: number; inner: number },
): Uint8Array<ArrayBuffer> {
  const halved = new Uint8Array((outer * length * inner) / 2);
  for (let to = 0; to < length / 2; to++) {
    const { first, weights } = window(to, length);
    for (let row = 0; row < outer; row++) {
      for (let i = 0; i < inner; i++) {
        const start = (row * length + first) * inner + i;
        const sum = weights.reduce((total, weight, offset) => total + weight * values[start + offset * inner]!, 0);
        halved[(row * (length / 2) + to) * inner + i] = Math.min(255, Math.max(0, Math.floor(sum + 0.5)));
      }
    }
  }
  return halved;
}

const factor = 2;
const reach = 2 * factor;

/** The places that a pixel is made from, and their weights, whose sum is 1. */
function window(to: number, length: number): { first: number; weights: number[] } {
  const centre = (to + 0.5) * factor;
  const first = Math.max(0, Math.trunc(centre - reach + 0.5));
  const end = Math.min(length, Math.trunc(centre + reach + 0.5));
  const raw = Array.from({ length: end - first }, (_, i) => bicubic((first + i - centre + 0.5) / factor));
  const total = raw.reduce((sum, weight) => sum + weight);
  return { first, weights: raw.map((weight) => weight / total) };
}

function bicubic(x: number): number {
  const distance = Math.abs(x);
  if (distance < 1) {
    return (1.5 * distance - 2.5) * distance * distance + 1;
  }
  return distance < 2 ? ((-0.5 * distance + 2.5) * distance - 4) * distance + 2 : 0;
}
