/** An element as the server writes it: in quotes with escapes, or as it is. */
const element = /"((?:[^"\\]|\\.)*)"|([^,]+)/gs;

/**
 * PostgreSQL's `text[]` for the driver, which would otherwise ask every new connection for the types of arrays, and fail
 * where it cannot be caught if the server is silent just then.
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
