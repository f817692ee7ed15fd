import { z } from 'zod';

const pattern = z.string().refine((source) => {
  try {
    return new RegExp(source, 'iu') instanceof RegExp;
  } catch {
    return false;
  }
}, 'a regular expression');

/**
 * How prompts with several things are made by a network that only knows single ones well: each thing is sampled alone, and
 * its keyframes are decoded, made smaller, placed beside the others' and encoded again.
 */
export const thingsSchema = z.strictObject({
  /** Maximum number; a prompt with more is sampled as it is. */
  most: z.int().min(2).max(8),
  /** Matches what stands between two things. */
  between: pattern,
  /** Matches the background, which all things share; a prompt without it is sampled as it is. */
  background: pattern,
  /** Size of a thing among others, as a factor. */
  scale: z.number().positive().max(1),
});
