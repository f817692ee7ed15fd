/** An element as the server writes it: quoted with escapes, or bare. */
const element = /"((?:[^"\\]|\\.)*)"|([^,]+)/gs;

/**
 * Teaches the driver PostgreSQL's `text[]`. Otherwise it would query the array types on every new connection, and that
 * query fails uncatchably when the server is silent.
 */
export const textArray = {
  to: 1009,
  from: [1009],
  serialize: (texts: readonly string[]) => `{${texts.map((text) => `"${text.replace(/["\\]/g, '\\$&')}"`).join(',')}}`,
  parse: (text: string) =>
    Array.from(text.slice(1, -1).matchAll(element), ([, quoted, plain]) =>
      quoted === undefined ? plain! : quoted.replace(/\\(.)/gs, '$1'),
    ),
};
