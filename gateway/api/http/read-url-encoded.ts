import { fieldText } from './form-fields.ts';
import { ProtocolError } from './http-error.ts';

/** Reads the fields of a URL-encoded form (WHATWG URL, section 5.1). Throws 400 if malformed. */
export function* readUrlEncoded(body: Buffer): Generator<readonly [name: string, value: string]> {
  const text = body.toString('latin1');
  if (/^\s*[{[]/.test(text)) {
    throw new ProtocolError(
      400,
      'malformed_body',
      'The body must be a form, as its content type says; for JSON send content-type: application/json',
    );
  }
  for (const pair of text.split('&').filter((each) => each !== '')) {
    const equals = pair.indexOf('=');
    const name = fieldText('name of a field', decode(equals < 0 ? pair : pair.slice(0, equals)));
    yield [name, fieldText(name, decode(equals < 0 ? '' : pair.slice(equals + 1)))];
  }
}

function decode(text: string): Buffer {
  const bytes = text
    .replaceAll('+', ' ')
    .replace(/%([0-9a-f]{2})/gi, (_, digits) => String.fromCharCode(Number.parseInt(digits, 16)));
  return Buffer.from(bytes, 'latin1');
}
