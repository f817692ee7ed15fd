import { isUtf8 } from 'node:buffer';
import { pipeline } from 'node:stream';
import type { FastifyInstance, FastifyRequest } from 'fastify';
import { shown } from '../../../services/kit/errors.ts';
import { HeldBytes } from '../../../services/kit/limits/held-bytes.ts';
import { placeInJson } from '../../../services/kit/parse-json.ts';
import { maxHeldBytes, maxRequestBytes } from '../max-request-bytes.ts';
import { type FormFields, fieldFault, putField } from './form-fields.ts';
import { ProtocolError } from './http-error.ts';
import { LargeBodyNotice } from './large-body-notice.ts';
import { isMultipart, readMultipart, requireBoundary } from './read-multipart.ts';
import { readUrlEncoded } from './read-url-encoded.ts';

type Parse = (body: Buffer, contentType: string) => unknown;

/** Readers by media type. */
const parsers = new Map<string, Parse>([
  ['application/json', parseJson],
  ['multipart/form-data', async (body, contentType) => toObject(await readMultipart(body, contentType))],
  ['application/x-www-form-urlencoded', (body) => toObject(readUrlEncoded(body))],
]);

const mediaTypes = [...parsers.keys()].join(', ');

/** Fields into which client libraries put options that they do not know themselves. */
const extraNames = ['extra', 'extra_body', 'extra_params'];

/**
 * Reads JSON and forms, as sent by HTML and common clients, into memory, bounded by the route's body limit. An empty body
 * counts as no body, whatever its media type.
 */
export function readBodies(app: FastifyInstance): void {
  const held = new HeldBytes(maxHeldBytes);
  app.removeAllContentTypeParsers();
  app.addContentTypeParser('*', { parseAs: 'buffer' }, async ({ raw }: FastifyRequest, body: Buffer) => {
    const contentType = raw.headers['content-type'] ?? '';
    return body.length === 0 ? undefined : withExtras(await requireParser(contentType)(body, contentType));
  });
  // Errors in the headers are reported before the body is requested.
  for (const event of ['checkContinue', 'checkExpectation']) {
    app.server.on(event, (request, reply) => app.server.emit('request', request, reply));
  }
  app.addHook('preParsing', async (request, reply, payload) => {
    const { headers, raw } = request;
    const { bodyLimit } = request.routeOptions;
    const { 'content-length': length = '', 'content-encoding': encoding, 'content-type': contentType = '' } = headers;
    if (Number(length) > bodyLimit) {
      throw bodyTooLarge(bodyLimit);
    }
    const awaitsContinue = headers.expect?.toLowerCase() === '100-continue';
    if (Number(length) > 0 || headers['transfer-encoding'] !== undefined) {
      refuseEncoded(encoding);
      // A chunked body may be empty, in which case its type does not matter; a client that waits for 100 Continue has a body.
      if (raw.method !== 'GET' && raw.method !== 'HEAD' && (Number(length) > 0 || awaitsContinue)) {
        requireParser(contentType);
        if (isMultipart(contentType)) {
          requireBoundary(contentType);
        }
      }
    }
    // Fastify would reject a malformed type before it knows whether there is a body; the parser above reads the raw header.
    request.headers = { 'content-type': undefined };
    const hold = (bytes: number) => void reply.raw.once('close', held.take(bytes));
    if (Number(length) > maxRequestBytes) {
      hold(Number(length));
    }
    if (awaitsContinue) {
      reply.raw.writeContinue();
    }
    const isChunked = headers['transfer-encoding'] !== undefined && bodyLimit > maxRequestBytes;
    if (!isChunked) {
      return payload;
    }
    const notice = new LargeBodyNotice(maxRequestBytes, () => hold(bodyLimit));
    // An error of the one reaches the other, which the parser reads.
    pipeline(payload, notice, () => {});
    return notice;
  });
}

export function bodyTooLarge(bodyLimit: number): ProtocolError {
  return new ProtocolError(413, 'body_too_large', `The body must be at most ${bodyLimit} bytes`);
}

function requireParser(contentType: string): Parse {
  const parser = parsers.get(contentType.split(';')[0]!.trim().toLowerCase());
  if (!parser) {
    const given = contentType === '' ? 'nothing' : `"${shown(contentType)}"`;
    throw new ProtocolError(415, 'invalid_media_type', `The content type must be one of ${mediaTypes} (got ${given})`, {
      accept: mediaTypes,
    });
  }
  return parser;
}

/** Throws 415, listing the accepted types (RFC 9110, section 15.5.16). */
function refuseEncoded(encoding: string | undefined): void {
  if (encoding !== undefined && encoding.trim().toLowerCase() !== 'identity') {
    throw new ProtocolError(
      415,
      'invalid_content_encoding',
      `The content encoding must be identity or absent (got "${shown(encoding)}")`,
      { 'accept-encoding': 'identity' },
    );
  }
}

function parseJson(body: Buffer): unknown {
  if (!isUtf8(body)) {
    throw new ProtocolError(400, 'malformed_body', 'The body must be JSON in UTF-8');
  }
  // Strips the byte order mark that some clients send.
  const json = new TextDecoder().decode(body);
  try {
    return parseUnique(json);
  } catch (error) {
    if (error instanceof ProtocolError) {
      throw error;
    }
    throw new ProtocolError(400, 'malformed_body', `The body must be valid JSON${placeInJson(json, error as Error)}`);
  }
}

/** Throws a SyntaxError for text that is not JSON, and 400 naming the field for an object with a duplicate name. */
function parseUnique(json: string): unknown {
  const value = JSON.parse(json);
  const repeated = repeatedField(json);
  if (repeated !== undefined) {
    throw fieldFault('duplicate_field', repeated, 'given once');
  }
  return value;
}

/**
 * Path of the first field of valid JSON that repeats a name of its object, such as `webhook.url`; JSON.parse silently
 * keeps the last. Not recursive: the nesting may be as deep as the text is long.
 */
function repeatedField(json: string): string | undefined {
  const open: { names: Set<string>; current: string }[] = [];
  let text = '';
  // Written as a loop over pieces: one over characters would exhaust the stack on a picture in base64.
  for (const [token] of json.matchAll(/"[^"\\]*(?:\\.[^"\\]*)*"|[{}:]/g)) {
    const inner = open.at(-1)!;
    if (token === '{') {
      open.push({ names: new Set(), current: '' });
    } else if (token === '}') {
      open.pop();
    } else if (token === ':') {
      inner.current = JSON.parse(text);
      if (inner.names.has(inner.current)) {
        return open.map(({ current }) => current).join('.');
      }
      inner.names.add(inner.current);
    } else {
      text = token;
    }
  }
  return undefined;
}

/**
 * A form as an object; `a[b]` is field `b` of object `a`. HTML forms send empty inputs too: an empty value counts as null,
 * except for the prompt, which is required, and labels, which may be empty.
 */
function toObject(fields: Iterable<readonly [name: string, value: string | Uint8Array]>): FormFields {
  const object: FormFields = Object.create(null);
  for (const [name, value] of fields) {
    if (name !== '_charset_') {
      putField(object, name, value === '' && !/^(prompt$|metadata\[)/.test(name) ? null : value);
    } else if (!/^utf-?8$/i.test(String(value))) {
      // Declares the encoding of the other fields (RFC 7578, section 4.6).
      throw fieldFault('malformed_field', name, 'utf-8');
    }
  }
  for (const [name, value] of Object.entries(object)) {
    const isObject = typeof value === 'object' && value !== null && !ArrayBuffer.isView(value);
    if (isObject && Object.values(value).every((inner) => inner === null)) {
      object[name] = null;
    }
  }
  return object;
}

/** Merges an object's extra fields into it; null is an absent field. */
function withExtras(body: unknown): unknown {
  if (typeof body !== 'object' || body === null || Array.isArray(body)) {
    return body;
  }
  const fields: Record<string, unknown> = Object.assign(Object.create(null), body);
  for (const name of extraNames.filter((each) => Object.hasOwn(body, each))) {
    const extras = toExtras(name, fields[name]);
    delete fields[name];
    for (const [inner, value] of Object.entries(extras).filter(([, each]) => each !== null)) {
      if ((fields[inner] ?? undefined) !== undefined) {
        throw new ProtocolError(400, 'duplicate_field', `\`${shown(inner)}\` must be given once`, {}, shown(inner));
      }
      fields[inner] = value;
    }
  }
  return fields;
}

/** Forms carry them as JSON. */
function toExtras(name: string, given: unknown): object {
  let extras: unknown = given ?? {};
  if (typeof extras === 'string') {
    try {
      extras = parseUnique(extras);
    } catch (error) {
      if (error instanceof ProtocolError) {
        throw error;
      }
      // Not JSON: rejected below.
    }
  }
  if (typeof extras !== 'object' || extras === null || Array.isArray(extras)) {
    throw new ProtocolError(400, 'invalid_field', `\`${name}\` must be an object of further fields`, {}, name);
  }
  return extras;
}
