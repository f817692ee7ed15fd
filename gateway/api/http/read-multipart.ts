import { isUtf8 } from 'node:buffer';
import { Busboy, type BusboyHeaders } from '@fastify/busboy';
import { either } from '../../../services/kit/either.ts';
import { fieldFault, fieldText } from './form-fields.ts';
import { ProtocolError } from './http-error.ts';

interface Part {
  name: string;
  fileName: string | undefined;
  encoding: string;
  bytes: Buffer;
}

/** Maximum length of a boundary; RFC 2046 allows 70 characters. */
const maxBoundaryLength = 200;

/** The fields that may be files; the second may be given several times. */
const fileFields = ['input_reference', 'keyframes', 'keyframes[]'];

/** Reads the fields of a form (RFC 7578). Throws 400 for a malformed or truncated body and for any other file. */
export async function readMultipart(
  body: Buffer,
  contentType: string,
): Promise<(readonly [string, string | Uint8Array])[]> {
  const parts = await readParts(body, requireBoundary(contentType));
  return (
    parts
      // An HTML form sends this if no file was chosen.
      .filter(({ fileName, bytes }) => !(fileName === '' && bytes.length === 0))
      .map(({ name, fileName, encoding, bytes }) => {
        const mayBeFile = fileFields.includes(name);
        const isFile = fileName !== undefined || (mayBeFile && !isUtf8(bytes));
        if (isFile && !mayBeFile) {
          const allowed = fileFields.slice(0, 2).map((each) => `\`${each}\``);
          throw fieldFault('unexpected_file', name, `text, not a file: only ${either(allowed)} may be one`);
        }
        if (!/^(7bit|8bit|binary)$/i.test(encoding)) {
          throw fieldFault('malformed_field', name, 'sent as it is, without a content-transfer-encoding');
        }
        if (isFile) {
          return [listed(name), bytes] as const;
        }
        return [listed(name), fieldText(name, bytes)] as const;
      })
  );
}

async function readParts(body: Buffer, boundary: string): Promise<Part[]> {
  const parts: Promise<Part>[] = [];
  // Collects each part as bytes, because the parser would decode invalid UTF-8.
  const contentType = `multipart/form-data; boundary="${boundary.replace(/["\\]/g, '\\$&')}"`;
  const parser = new Busboy({ headers: { 'content-type': contentType } as BusboyHeaders, isPartAFile: () => true });
  parser.on('file', (name: string | undefined, stream, fileName, encoding) => {
    if (name === undefined) {
      stream.resume();
      return;
    }
    const read = stream.toArray().then((chunks) => ({
      name,
      fileName: fileName as string | undefined,
      encoding,
      bytes: Buffer.concat(chunks as Buffer[]),
    }));
    read.catch(() => {});
    parts.push(read);
  });
  const text = withoutPadding(body.toString('latin1'), boundary);
  const count = countParts(text, boundary);
  await new Promise<void>((resolve, reject) => {
    parser.on('finish', resolve);
    parser.on('error', () => reject(malformed('it does not end with its boundary')));
    parser.end(Buffer.from(text, 'latin1'));
  });
  if (parts.length < count) {
    // The parser, or the code above, skipped a part.
    throw malformed('a part has no `content-disposition: form-data` with a name');
  }
  return Promise.all(parts);
}

function malformed(problem: string): ProtocolError {
  const message = `The body must be multipart/form-data with the boundary of its content type: ${problem}`;
  return new ProtocolError(400, 'malformed_body', message);
}

export function isMultipart(contentType: string): boolean {
  return /^multipart\//i.test(contentType);
}

/** The boundary in a content type. Throws 400 if there is none. */
export function requireBoundary(contentType: string): string {
  const [, quoted, plain] = /;\s*boundary\s*=\s*(?:"([^"]*)"|([^\s;]+))/i.exec(contentType) ?? [];
  const boundary = quoted ?? plain ?? '';
  if (boundary === '' || boundary.length > maxBoundaryLength) {
    throw new ProtocolError(
      400,
      'malformed_body',
      `The content type must be multipart/form-data with a boundary of 1 to ${maxBoundaryLength} characters`,
      {},
      'Content-Type',
    );
  }
  return boundary;
}

/** The name under which a field may come several times. */
function listed(name: string): string {
  return name === 'keyframes' ? 'keyframes[]' : name;
}

/** Strips the blanks that may follow a boundary (RFC 2046, section 5.1.1), which the parser does not support. */
function withoutPadding(text: string, boundary: string): string {
  const padded = new RegExp(`(${delimiterOf(boundary)}(?:--)?)[ \\t]+(?=\\r\\n|$)`, 'g');
  return text.replace(padded, '$1');
}

/** Counts the parts. Throws if a part's headers never end, for which the parser would wait forever. */
function countParts(text: string, boundary: string): number {
  const parts = text.split(new RegExp(delimiterOf(boundary))).slice(1);
  const end = parts.findIndex((part) => part.startsWith('--'));
  const whole = end < 0 ? parts : parts.slice(0, end);
  if (whole.some((part) => !part.includes('\r\n\r\n'))) {
    throw malformed('the headers of a part are cut off');
  }
  return whole.length;
}

/** A pattern for the delimiter between parts. */
function delimiterOf(boundary: string): string {
  return `(?:^|\\r\\n)--${boundary.replace(/[.*+?^${}()|[\]\\]/g, '\\$&')}`;
}
