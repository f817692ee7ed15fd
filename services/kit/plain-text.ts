/**
 * Text from outside, with control characters escaped, which a terminal would interpret, and those that change the
 * direction of text.
 *
 * @param allowed control characters that stay
 */
export function plainText(text: string, allowed = ''): string {
  return text.replace(/[\p{Cc}\p{Bidi_Control}]/gu, (character) =>
    allowed.includes(character) ? character : escaped(character),
  );
}

function escaped(character: string): string {
  const inJson = JSON.stringify(character).slice(1, -1);
  // JSON leaves DEL, the C1 set and the others as they are.
  return inJson === character ? `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}` : inJson;
}
