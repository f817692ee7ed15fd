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
  // Each part as its bytes: the parser would make something of those that are no UTF-8.
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
  await new Promise<void>((resolve, reject) => {
    parser.on('finish', resolve);
    parser.on('error', reject);
    parser.end(withoutPadding(body, contentType));
  });
  return Promise.all(parts);
}

/** Without the blanks that may follow a boundary (RFC 2046, section 5.1.1), which the parser does not know. */
function withoutPadding(body: Buffer, contentType: string): Buffer {
  const [, quoted, plain] = /;\s*boundary=(?:"([^"]*)"|([^\s;]+))/i.exec(contentType) ?? [];
  const boundary = (quoted ?? plain ?? '').replace(/[.*+?^${}()|[\]\\]/g, '\\$&');
  const padded = new RegExp(`((?:^|\\r\\n)--${boundary}(?:--)?)[ \\t]+(?=\\r\\n|$)`, 'g');
  return Buffer.from(body.toString('latin1').replace(padded, '$1'), 'latin1');
}
