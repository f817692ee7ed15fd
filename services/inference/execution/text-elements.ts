import { decodeBytesElements, encodeBytesElements } from '../../pipeline/bytes-elements.ts';
import { InvalidInputError } from './invalid-input-error.ts';
import type { Feed } from './session-messages.ts';

/** Texts as BYTES data. */
export function encodeTexts(texts: readonly string[]): Uint8Array<ArrayBuffer> {
  const encoder = new TextEncoder();
  return encodeBytesElements(texts.map((text) => encoder.encode(text)));
}

/** The texts in an input's BYTES data. Throws InvalidInputError for other bytes than UTF-8. */
export function decodeTexts({ name, data }: Pick<Feed, 'name'> & { data: Uint8Array }): string[] {
  const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });
  return decodeBytesElements(data).map((element, index) => {
    try {
      return decoder.decode(element);
    } catch {
      throw new InvalidInputError(
        `element ${index} of input '${name}' is not UTF-8 text, the only BYTES accepted here`,
      );
    }
  });
}
