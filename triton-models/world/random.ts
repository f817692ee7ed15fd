import { createHash } from 'node:crypto';

/** Uniform numbers in [0, 1), the same ones for the same seed: SHA-256 of the seed and a count, 48 bits each. */
export function seededRandom(seed: string): () => number {
  let count = 0;
  return () => {
    const digest = createHash('sha256').update(`${seed} ${count++}`).digest();
    return digest.readUIntBE(0, 6) / 2 ** 48;
  };
}
