/**
 * Text from outside, with the characters escaped that a terminal would interpret, that change the direction of text or begin
 * a line, and halves of characters.
 *
 * @param allowed control characters that stay
 */
export function plainText(text: string, allowed = ''): string {
  return text.replace(/[\p{Cc}\p{Bidi_Control}\p{Zl}\p{Zp}\p{Surrogate}]/gu, (character) =>
    allowed.includes(character) ? character : escaped(character),
  );
}

function escaped(character: string): string {
  const inJson = JSON.stringify(character).slice(1, -1);
  // JSON leaves DEL, the C1 set and the others as they are.
  return inJson === character ? `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}` : inJson;
}
