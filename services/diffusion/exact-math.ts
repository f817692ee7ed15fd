/*
 * Elementary functions from +, −, ×, ÷ on doubles alone. ECMAScript leaves the last bits of Math.log, Math.sin and
 * Math.cos to the engine; these give the same bits everywhere and are accurate to 1e-13, far below float32.
 */

const { floor } = Math;
const ln2 = Math.LN2;
const sqrtHalf = Math.SQRT1_2;

/** Natural logarithm of a normal double in (0, 1]. */
export function logarithm(x: number): number {
  let mantissa = x;
  let exponent = 0;
  while (mantissa < 1 / 65536) {
    mantissa *= 65536;
    exponent -= 16;
  }
  while (mantissa < sqrtHalf) {
    mantissa *= 2;
    exponent -= 1;
  }
  // ln m = 2·artanh(s), s = (m − 1)/(m + 1), |s| < 0.172: eleven terms of the series reach 1e-17.
  const s = (mantissa - 1) / (mantissa + 1);
  const z = s * s;
  let sum = 1 / 21;
  for (let denominator = 19; denominator >= 1; denominator -= 2) {
    sum = sum * z + 1 / denominator;
  }
  return exponent * ln2 + 2 * s * sum;
}

const quarterTurnUnits = 2 ** 30;
const radiansPerUnit = (2 * Math.PI) / 2 ** 32;

/**
 * Cosine and sine of an angle given in units of 2^−32 turns.
 *
 * @param angle 0 to 2^32 − 1
 * @param point takes cosine and sine
 */
export function unitCircle(angle: number, point: Float64Array): void {
  // Nearest multiple of a quarter turn, exactly, and what remains: at most an eighth of a turn either way.
  const quarter = floor((angle + quarterTurnUnits / 2) / quarterTurnUnits);
  const x = (angle - quarter * quarterTurnUnits) * radiansPerUnit;
  const z = x * x;
  const sine =
    x *
    (1 +
      z * (-1 / 6 + z * (1 / 120 + z * (-1 / 5040 + z * (1 / 362880 + z * (-1 / 39916800 + z * (1 / 6227020800)))))));
  const cosine =
    1 +
    z *
      (-1 / 2 +
        z * (1 / 24 + z * (-1 / 720 + z * (1 / 40320 + z * (-1 / 3628800 + z * (1 / 479001600 - z / 87178291200))))));
  switch (quarter % 4) {
    case 0:
      point[0] = cosine;
      point[1] = sine;
      break;
    case 1:
      point[0] = -sine;
      point[1] = cosine;
      break;
    case 2:
      point[0] = -cosine;
      point[1] = -sine;
      break;
    default:
      point[0] = sine;
      point[1] = -cosine;
  }
}
