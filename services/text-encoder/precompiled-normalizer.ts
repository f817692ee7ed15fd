import { Charsmap } from './charsmap.ts';

/** A normalizer of the tokenizers' library, as far as it matters here. */
export interface Normalizer {
  config: { type: string; precompiled_charsmap?: string | null };
  normalize(text: string): string;
  /** Of a sequence. */
  normalizers?: (Normalizer | null)[];
}

/**
 * Has a normalizer use the tables in tokenizer.json, as SentencePiece does. The library leaves them aside and comes close
 * with NFKC, which loses U+200D, the joiner in emoji and in Indic scripts. Throws when a table is broken.
 */
export function heedTables(normalizer: Normalizer | null): void {
  const table = normalizer?.config.precompiled_charsmap;
  if (normalizer?.config.type === 'Precompiled' && table) {
    const charsmap = new Charsmap(table);
    normalizer.normalize = (text) => charsmap.normalize(text);
  }
  normalizer?.normalizers?.forEach(heedTables);
}
