/**
 * Converts to IEEE 754 half precision: 1 sign bit, 5 exponent bits, 10 fraction bits. Rounds to nearest, ties to even;
 * values of 65520 and more become infinity.
 */
export function toFloat16(values: Float32Array): Uint16Array {
  const words = bitsOf(values);
  const halves = new Uint16Array(values.length);
  for (let index = 0; index < values.length; index++) {
    const word = words[index]!;
    halves[index] = ((word >>> 16) & 0x8000) | halfOfMagnitude(word & 0x7fffffff);
  }
  return halves;
}

/** Converts half-precision bits to numbers, exactly. */
export function fromFloat16(halves: Uint16Array): Float32Array {
  const values = new Float32Array(halves.length);
  const words = bitsOf(values);
  for (let index = 0; index < halves.length; index++) {
    const half = halves[index]!;
    const sign = (half & 0x8000) << 16;
    const magnitude = half & 0x7fff;
    if (magnitude < 0x400) {
      values[index] = magnitude * 2 ** -24;
      words[index] = words[index]! | sign;
    } else {
      const isNumber = magnitude < 0x7c00;
      words[index] = sign | ((magnitude << 13) + (isNumber ? 0x38000000 : 0x70000000));
    }
  }
  return values;
}

/** bfloat16: the upper half of a float32. Rounds to the nearest, ties to even. */
export function toBfloat16(values: Float32Array): Uint16Array {
  const words = bitsOf(values);
  const halves = new Uint16Array(values.length);
  for (let index = 0; index < values.length; index++) {
    const word = words[index]!;
    const isNotANumber = (word & 0x7fffffff) > 0x7f800000;
    // Rounding could carry a NaN over into infinity.
    halves[index] = isNotANumber ? (word >>> 16) | 0x40 : (word + 0x7fff + ((word >>> 16) & 1)) >>> 16;
  }
  return halves;
}

/** Converts bfloat16 bits to numbers, exactly. */
export function fromBfloat16(halves: Uint16Array): Float32Array {
  const values = new Float32Array(halves.length);
  const words = bitsOf(values);
  // `Uint32Array.from` with a callback takes fifty times as long.
  for (let index = 0; index < halves.length; index++) {
    words[index] = halves[index]! << 16;
  }
  return values;
}

const scratch = new Float32Array(1);
const scratchBits = new Uint32Array(scratch.buffer);

/** @param word bits of a float32 without its sign */
function halfOfMagnitude(word: number): number {
  if (word > 0x7f800000) {
    return 0x7e00;
  }
  if (word >= 0x477ff000) {
    return 0x7c00;
  }
  if (word < 0x38800000) {
    // A subnormal half counts steps of 2⁻²⁴, which is what the last bit of a float32 from 0.5 to 1 stands for.
    scratchBits[0] = word;
    scratch[0] = scratch[0]! + 0.5;
    return scratchBits[0] - 0x3f000000;
  }
  return (word - 0x38000000 + 0xfff + ((word >>> 13) & 1)) >>> 13;
}

function bitsOf(values: Float32Array): Uint32Array {
  return new Uint32Array(values.buffer, values.byteOffset, values.length);
}
