import { Charsmap } from './charsmap.ts';

/** The part of the tokenizer library's normalizer used here. */
export interface Normalizer {
  config: { type: string; precompiled_charsmap?: string | null };
  normalize(text: string): string;
  /** The members of a sequence. */
  normalizers?: (Normalizer | null)[];
}

/**
 * Makes a normalizer use the tables in tokenizer.json, as SentencePiece does. The library ignores them and approximates
 * them by NFKC, which loses U+200D, the joiner in emoji and Indic scripts. Throws if a table is invalid.
 */
export function useTables(normalizer: Normalizer | null): void {
  const table = normalizer?.config.precompiled_charsmap;
  if (normalizer?.config.type === 'Precompiled' && table) {
    const charsmap = new Charsmap(table);
    normalizer.normalize = (text) => charsmap.normalize(text);
  }
  normalizer?.normalizers?.forEach(useTables);
}
