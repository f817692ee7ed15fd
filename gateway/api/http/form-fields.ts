import { isUtf8 } from 'node:buffer';
import { shorten } from '../../../services/kit/errors.ts';
import { ProtocolError } from './http-error.ts';

/** The fields of a form. Without a prototype, so that no name has a special meaning. */
export type TextFields = { [name: string]: string | null | TextFields };

/** Adds a field; `a[b]` is field `b` of object `a`. Throws 400 for a duplicate. */
export function putField(fields: TextFields, name: string, value: string | null): void {
  const [, outer = name, inner] = /^([^[\]]+)\[([^[\]]+)\]$/.exec(name) ?? [];
  const target = inner === undefined ? fields : (fields[outer] ??= Object.create(null) as TextFields);
  const key = inner ?? outer;
  if (typeof target === 'string' || key in target) {
    throw fieldFault('duplicate_field', name, 'given once');
  }
  target[key] = value;
}

/** The parameters of a query; `a[b]` is field `b` of object `a`. Throws 400 for a duplicate. */
export function nestFields(query: Readonly<Record<string, unknown>>): object {
  const fields: TextFields = Object.create(null);
  for (const [name, value] of Object.entries(query)) {
    putField(fields, name, value as string);
  }
  return fields;
}

/** Decodes a field's bytes. Throws 400 naming the field if they are not UTF-8. */
export function fieldText(name: string, bytes: Buffer): string {
  if (!isUtf8(bytes)) {
    throw fieldFault('malformed_field', name, 'text in UTF-8');
  }
  return bytes.toString();
}

export function fieldFault(code: string, name: string, mustBe: string): ProtocolError {
  return new ProtocolError(400, code, `\`${shorten(name)}\` must be ${mustBe}`, {}, shorten(name));
}
