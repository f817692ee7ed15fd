import type { Dimension } from '../../services/pipeline/networks/network-interface.ts';

/*
 * Sizes that are known only by name are kept as products, such as `15*videos` or `0.5*height`, so that what is folded,
 * halved and unfolded again comes out as it went in.
 */

/** An unknown size. */
export const unknown = '?';

export function multiply(a: Dimension, b: Dimension): Dimension {
  return combine(a, b, 1);
}

/** The quotient of two sizes that divide evenly. */
export function divide(a: Dimension, b: Dimension): Dimension {
  return combine(a, b, -1);
}

export function product(sizes: readonly Dimension[]): Dimension {
  return sizes.reduce(multiply, 1);
}

/** Results of {@link combineNames}. A graph asks for the same few products thousands of times. */
const combined = new Map<string, Dimension>();

function combine(a: Dimension, b: Dimension, sign: 1 | -1): Dimension {
  if (typeof a === 'number' && typeof b === 'number') {
    return sign === 1 ? a * b : a / b;
  }
  if (a === unknown || b === unknown) {
    return unknown;
  }
  const key = `${a} ${sign} ${b}`;
  const known = combined.get(key);
  if (known !== undefined) {
    return known;
  }
  const result = combineNames(a, b, sign);
  combined.set(key, result);
  return result;
}

function combineNames(a: Dimension, b: Dimension, sign: 1 | -1): Dimension {
  const powers = new Map<string, number>();
  let factor = 1;
  for (const [size, power] of [
    [a, 1],
    [b, sign],
  ] as const) {
    for (const part of String(size).split('*')) {
      const value = Number(part);
      if (Number.isNaN(value)) {
        powers.set(part, (powers.get(part) ?? 0) + power);
      } else {
        factor *= value ** power;
      }
    }
  }
  const names = [...powers].filter(([, power]) => power !== 0).sort(([x], [y]) => (x < y ? -1 : 1));
  if (names.some(([, power]) => power < 0)) {
    return unknown;
  }
  // Rounds quotients such as thirds back to integers.
  const rounded = Number(factor.toPrecision(12));
  const all = names.flatMap(([name, power]) => new Array<string>(power).fill(name));
  return all.length === 0 ? rounded : [...(rounded === 1 ? [] : [rounded]), ...all].join('*');
}
