import { Busboy, type BusboyHeaders } from '@fastify/busboy';
import { fieldFault, fieldText } from './form-fields.ts';
import { ProtocolError } from './http-error.ts';

interface Part {
  name: string;
  fileName: string | undefined;
  encoding: string;
  bytes: Buffer;
}

/**
 * The text fields of a form (RFC 7578). Throws 400: the body is no such form, is cut off, or holds a file; the field is
 * named.
 */
export async function readMultipart(body: Buffer, contentType: string): Promise<(readonly [string, string])[]> {
  const parts = await readParts(body, contentType).catch((error: Error) => {
    const problem = `The body must be multipart/form-data with the boundary it declares: ${error.message}`;
    throw new ProtocolError(400, 'malformed_body', problem);
  });
  return (
    parts
      // An HTML form sends this where no file was chosen.
      .filter(({ fileName, bytes }) => !(fileName === '' && bytes.length === 0))
      .map(({ name, fileName, encoding, bytes }) => {
        if (fileName !== undefined) {
          throw fieldFault('unexpected_file', name, 'text, not a file: videos are made from text alone');
        }
        if (!/^(7bit|8bit|binary)$/i.test(encoding)) {
          throw fieldFault('malformed_field', name, 'sent as it is, without a content-transfer-encoding');
        }
        return [name, fieldText(name, bytes)] as const;
      })
  );
}

async function readParts(body: Buffer, contentType: string): Promise<Part[]> {
  const parts: Promise<Part>[] = [];
  // Each part as its bytes: the parser would decode those that are not UTF-8.
  const parser = new Busboy({ headers: { 'content-type': contentType } as BusboyHeaders, isPartAFile: () => true });
  parser.on('file', (name, stream, fileName, encoding) => {
    const read = stream.toArray().then((chunks) => ({
      name,
      fileName: fileName as string | undefined,
      encoding,
      bytes: Buffer.concat(chunks as Buffer[]),
    }));
    read.catch(() => {});
    parts.push(read);
  });
  const text = withoutPadding(body.toString('latin1'), contentType);
  requireHeaders(text, contentType);
  await new Promise<void>((resolve, reject) => {
    parser.on('finish', resolve);
    parser.on('error', reject);
    parser.end(Buffer.from(text, 'latin1'));
  });
  return Promise.all(parts);
}

/** Without the blanks that may follow a boundary (RFC 2046, section 5.1.1), which the parser does not know. */
function withoutPadding(text: string, contentType: string): string {
  const padded = new RegExp(`(${delimiterOf(contentType)}(?:--)?)[ \\t]+(?=\\r\\n|$)`, 'g');
  return text.replace(padded, '$1');
}

/** Throws if the headers of a part have no end: the parser would wait for it for ever. */
function requireHeaders(text: string, contentType: string): void {
  for (const part of text.split(new RegExp(delimiterOf(contentType))).slice(1)) {
    if (part.startsWith('--')) {
      return;
    }
    if (!part.includes('\r\n\r\n')) {
      throw new Error('the headers of a part are cut off');
    }
  }
}

/** What separates parts, as a pattern. */
function delimiterOf(contentType: string): string {
  const [, quoted, plain] = /;\s*boundary=(?:"([^"]*)"|([^\s;]+))/i.exec(contentType) ?? [];
  return `(?:^|\\r\\n)--${(quoted ?? plain ?? '').replace(/[.*+?^${}()|[\]\\]/g, '\\$&')}`;
}
