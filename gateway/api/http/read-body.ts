import { isUtf8 } from 'node:buffer';
import type { FastifyInstance, FastifyRequest } from 'fastify';
import { ProtocolError } from './http-error.ts';

/**
 * Bodies that are taken: JSON, and forms of text fields as HTML and common clients send them (`multipart/form-data`). Both
 * are read whole; the body limit bounds them.
 */
export function readBodies(app: FastifyInstance): void {
  app.removeAllContentTypeParsers();
  const read = (mediaType: string, parse: (body: Buffer, contentType: string) => unknown) =>
    app.addContentTypeParser(mediaType, { parseAs: 'buffer' }, async ({ headers }: FastifyRequest, body: Buffer) => {
      refuseEncoded(headers['content-encoding']);
      return parse(body, String(headers['content-type']));
    });
  read('application/json', parseJson);
  read('multipart/form-data', parseForm);
}

/** Throws 415, with what is taken (RFC 9110, section 15.5.16). */
function refuseEncoded(encoding: string | undefined): void {
  if (encoding !== undefined && encoding.trim().toLowerCase() !== 'identity') {
    throw new ProtocolError(
      415,
      'invalid_content_encoding',
      `content-encoding must be identity or absent (got ${shorten(encoding)})`,
      { 'accept-encoding': 'identity' },
    );
  }
}

function parseJson(body: Buffer): unknown {
  if (body.length === 0) {
    return undefined;
  }
  requireUtf8(body);
  try {
    return JSON.parse(body.toString());
  } catch (error) {
    throw new ProtocolError(400, 'malformed_body', `The body is no JSON: ${(error as Error).message.slice(0, 200)}`);
  }
}

/** A form as an object; `a[b]` is field `b` of object `a`, and `extra[b]`, as some clients call what they do not know, `b`. */
async function parseForm(body: Buffer, contentType: string): Promise<Fields> {
  requireUtf8(body);
  const form = await new Response(body, { headers: { 'content-type': contentType } }).formData().catch(() => {
    throw new ProtocolError(400, 'malformed_body', 'The body is no multipart/form-data with the boundary it declares');
  });
  const fields: Fields = Object.create(null);
  for (const [name, value] of form) {
    if (typeof value !== 'string') {
      throw new ProtocolError(400, 'unexpected_file', `\`${shorten(name)}\` must be text (got a file)`);
    }
    put(fields, name, value);
  }
  return fields;
}

/** Without a prototype, so that no name means anything else. */
type Fields = { [name: string]: string | Fields };

function put(fields: Fields, name: string, value: string): void {
  const [, outer = name, inner] = /^([^[\]]+)\[([^[\]]+)\]$/.exec(name) ?? [];
  const isOuter = inner === undefined || outer === 'extra';
  const target = isOuter ? fields : (fields[outer] ??= Object.create(null) as Fields);
  const key = inner ?? outer;
  if (typeof target === 'string' || key in target) {
    throw new ProtocolError(400, 'duplicate_field', `\`${shorten(name)}\` appears more than once`);
  }
  target[key] = value;
}

function requireUtf8(body: Buffer): void {
  if (!isUtf8(body)) {
    throw new ProtocolError(400, 'malformed_body', 'The body is no UTF-8');
  }
}

function shorten(name: string): string {
  return name.length > 80 ? `${name.slice(0, 77)}...` : name;
}
