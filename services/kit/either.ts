const format = new Intl.ListFormat('en-GB', { type: 'disjunction' });

/** `a`, `a or b`, `a, b or c`. */
export function either(words: Iterable<string>): string {
  return format.format(words);
}
