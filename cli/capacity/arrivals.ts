import { philox4x32 } from '../../services/diffusion/philox.ts';

/** Uniform numbers in (0, 1), the same ones for the same seed. */
export function uniformNumbers(seed: number): () => number {
  const key = Uint32Array.of(seed, 0);
  const counter = new Uint32Array(4);
  const words = new Uint32Array(4);
  return () => {
    counter[0]!++;
    philox4x32(counter, key, words);
    return (words[0]! + 0.5) / 2 ** 32;
  };
}

/** Times at which `count` independent requests arrive (a Poisson process), seconds. */
export function poissonArrivals(perSecond: number, count: number, seed: number): number[] {
  const uniform = uniformNumbers(seed);
  let now = 0;
  return Array.from({ length: count }, () => (now -= Math.log(uniform()) / perSecond));
}
