/** The value of a JSON text. Throws an Error in our own words, with the place at fault if it is known. */
export function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new Error(`it is not valid JSON${placeInJson(text, error as Error)}`);
  }
}

/** ` (line 1, column 5)` of JSON.parse's error; empty if V8 does not name the position. */
export function placeInJson(text: string, { message }: Error): string {
  const position = / at position (\d+)/.exec(message)?.[1];
  if (position === undefined) {
    return '';
  }
  const lines = text.slice(0, Number(position)).split('\n');
  return ` (line ${lines.length}, column ${lines.at(-1)!.length + 1})`;
}
