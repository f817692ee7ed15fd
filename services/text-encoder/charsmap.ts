/**
 * A SentencePiece normaliser's replacement table (`precompiled_charsmap`): a 4-byte length, a trie of that many bytes
 * with UTF-8 keys, and the replacements, each terminated by a zero byte. The trie is a Darts-clone double array.
 */
export class Charsmap {
  readonly #trie: Uint32Array;
  readonly #replacements: Uint8Array;

  /** Throws if the table is truncated. */
  constructor(base64: string) {
    const bytes = new Uint8Array(Buffer.from(base64, 'base64'));
    const trieBytes = bytes.length < 4 ? 0 : new DataView(bytes.buffer).getUint32(0, true);
    if (trieBytes < 4 || trieBytes % 4 !== 0 || 4 + trieBytes > bytes.length) {
      throw new Error(`precompiled_charsmap must hold a trie and its replacements (got ${bytes.length} bytes)`);
    }
    this.#trie = new Uint32Array(bytes.buffer, 4, trieBytes / 4);
    this.#replacements = bytes.subarray(4 + trieBytes);
  }

  /** Replaces from left to right, always the longest match in the table. */
  normalize(text: string): string {
    const bytes = new TextEncoder().encode(text);
    const parts: Uint8Array[] = [];
    let copiedTo = 0;
    for (let at = 0; at < bytes.length; ) {
      const match = this.#longestMatch(bytes, at);
      if (match === undefined) {
        at += characterLength(bytes[at]!);
      } else {
        parts.push(bytes.subarray(copiedTo, at), this.#replacement(match.value));
        at += match.length;
        copiedTo = at;
      }
    }
    parts.push(bytes.subarray(copiedTo));
    return Buffer.concat(parts).toString('utf8');
  }

  #longestMatch(bytes: Uint8Array, start: number): { length: number; value: number } | undefined {
    const trie = this.#trie;
    let match: { length: number; value: number } | undefined;
    let node = childrenOffset(trie[0]!);
    for (let at = start; at < bytes.length; at++) {
      node ^= bytes[at]!;
      const unit = trie[node];
      if (unit === undefined || (unit & 0x800000ff) >>> 0 !== bytes[at]) {
        break;
      }
      node ^= childrenOffset(unit);
      if ((unit >>> 8) & 1) {
        match = { length: at + 1 - start, value: trie[node]! & 0x7fffffff };
      }
    }
    return match;
  }

  #replacement(start: number): Uint8Array {
    const end = this.#replacements.indexOf(0, start);
    return this.#replacements.subarray(start, end === -1 ? undefined : end);
  }
}

function childrenOffset(unit: number): number {
  return (unit >>> 10) << ((unit & 0x200) >>> 6);
}

/** Length of a UTF-8 character in bytes, from its first byte. */
function characterLength(first: number): number {
  return first < 0x80 ? 1 : first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4;
}
