import { createHash } from 'node:crypto';

/** Reproducible uniform numbers in [0, 1): 48 bits each of SHA-256 over the seed and a counter. */
export function seededRandom(seed: string): () => number {
  let count = 0;
  return () => {
    const digest = createHash('sha256').update(`${seed} ${count++}`).digest();
    return digest.readUIntBE(0, 6) / 2 ** 48;
  };
}
